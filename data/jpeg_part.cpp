#include "data/jpeg_part.h"

// jpeglib.h needs <cstdio> before it.
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <optional>

#include "data/jpeg.h"
#include "data/limits.h"

namespace stair::data {
namespace {

struct Errors {
  jpeg_error_mgr manager;
  std::jmp_buf refused;
};

[[noreturn]] void refuse(j_common_ptr jpeg) {
  std::longjmp(reinterpret_cast<Errors*>(jpeg->err)->refused, 1);
}
// A warning means damage, which decode_jpeg reports.
void refuse_warning(j_common_ptr jpeg, int level) {
  if (level < 0) refuse(jpeg);
}

// libjpeg's decompressor of this thread. Its functions jump out of libjpeg when that refuses the
// file; no object with a destructor lives in the frames that are left.
class Reader {
 public:
  Reader() {
    jpeg_.err = jpeg_std_error(&errors_.manager);
    errors_.manager.error_exit = refuse;
    errors_.manager.emit_message = refuse_warning;
    if (setjmp(errors_.refused) != 0) throw MemoryError("jpeg: no memory for a decompressor");
    jpeg_create_decompress(&jpeg_);
  }
  ~Reader() { jpeg_destroy_decompress(&jpeg_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  int width() const { return static_cast<int>(jpeg_.image_width); }
  int height() const { return static_cast<int>(jpeg_.image_height); }

  // Reads the header; false for files whose parts this class does not decode.
  bool open(std::span<const uint8_t> bytes) {
    if (setjmp(errors_.refused) != 0) return false;
    jpeg_abort_decompress(&jpeg_);
    jpeg_mem_src(&jpeg_, bytes.data(), bytes.size());
    jpeg_read_header(&jpeg_, TRUE);
    const bool colours =
        jpeg_.jpeg_color_space == JCS_YCbCr || jpeg_.jpeg_color_space == JCS_GRAYSCALE;
    return colours && jpeg_has_multiple_scans(&jpeg_) == FALSE;
  }

  // Columns [first, first + count) that must be decoded so that `x` to `x + width` come out as in
  // the whole picture: smooth upsampling looks at the neighbours, which a piece lacks at its ends.
  void start(int x, int width, unsigned& first, unsigned& count) {
    jpeg_.out_color_space = JCS_EXT_RGB;
    jpeg_.dct_method = JDCT_ISLOW;
    jpeg_start_decompress(&jpeg_);
    const int margin = jpeg_.max_h_samp_factor > 1 ? DCTSIZE * jpeg_.max_h_samp_factor : 0;
    const int end = std::min(x + width + margin, this->width());
    first = static_cast<unsigned>(std::max(x - margin, 0));
    count = static_cast<unsigned>(end) - first;
    jpeg_crop_scanline(&jpeg_, &first, &count);
  }

  // Decodes the columns and rows that `crop` needs. `make(columns, rows)` gives the memory; the
  // piece begins at column `left` and row crop.y of the picture.
  template <class Make>
  bool read(const Crop& crop, const Make& make, int& left) {
    if (setjmp(errors_.refused) != 0) return false;
    unsigned first = 0, columns = 0;
    start(crop.x, crop.width, first, columns);
    left = static_cast<int>(first);
    uint8_t* row = make(static_cast<int>(columns), crop.height);
    if (crop.y > 0) jpeg_skip_scanlines(&jpeg_, static_cast<unsigned>(crop.y));
    for (int y = 0; y < crop.height; ++y, row += size_t{3} * columns)
      jpeg_read_scanlines(&jpeg_, &row, 1);
    return true;
  }

 private:
  jpeg_decompress_struct jpeg_ = {};
  Errors errors_ = {};
};

// The part of `crop` inside a picture of this size; nothing when it is empty.
std::optional<Crop> inside(const Crop& crop, int width, int height) {
  const int x = std::max(crop.x, 0), y = std::max(crop.y, 0);
  const int w = std::min(crop.x + crop.width, width) - x;
  const int h = std::min(crop.y + crop.height, height) - y;
  if (w <= 0 || h <= 0) return std::nullopt;
  return Crop{x, y, w, h};
}

}  // namespace

Part decode_jpeg_part(std::span<const uint8_t> bytes, const ChooseCrop& choose,
                      const DecodeOptions& options) {
  thread_local Reader reader;
  std::optional<Crop> crop;
  if (has_end_marker(bytes) && reader.open(bytes)) {
    check_pixels(reader.width(), reader.height(), options);
    crop = choose(reader.width(), reader.height());
    const std::optional<Crop> part = inside(*crop, reader.width(), reader.height());
    Image image;
    int left = 0;
    const auto make = [&](int columns, int rows) { return (image = Image(columns, rows)).data(); };
    if (part && reader.read(*part, make, left))
      return {std::move(image), {crop->x - left, crop->y - part->y, crop->width, crop->height}};
  }
  Image image = decode_jpeg(bytes, options);
  const Crop chosen = crop ? *crop : choose(image.width(), image.height());
  return {std::move(image), chosen};
}

}  // namespace stair::data
