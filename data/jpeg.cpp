#include "data/jpeg.h"

#include <turbojpeg.h>

#include <string>
#include <vector>

#include "core/text.h"
#include "data/limits.h"

namespace stair::data {
namespace {

// libjpeg-turbo's decompressor of this thread.
class Decompressor {
 public:
  Decompressor() : handle_(tjInitDecompress()) { check(); }
  ~Decompressor() { tjDestroy(handle_); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  tjhandle get() const { return handle_; }
  std::string message() const { return tjGetErrorStr2(handle_); }
  bool failed() const { return tjGetErrorCode(handle_) == TJERR_FATAL; }
  // After an error: a header that fails leaves the handle inside it, and the next file would be
  // read from there on (seen with 2.1.5).
  void renew() {
    tjDestroy(handle_);
    handle_ = tjInitDecompress();
    check();
  }

 private:
  void check() const {
    if (handle_ == nullptr) throw MemoryError("jpeg: no memory for a decompressor");
  }

  tjhandle handle_;
};

// Accurate integer transform and smooth upsampling are the defaults. Progressive files may have 500
// scans.
constexpr int kFlags = TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS;

// Decompresses into `pixels`; returns whether damaged data was passed over.
bool decompress(Decompressor& jpeg, std::span<const uint8_t> bytes, uint8_t* pixels, int width,
                int height, TJPF layout) {
  if (tjDecompress2(jpeg.get(), bytes.data(), bytes.size(), pixels, width, 0, height, layout,
                    kFlags) == 0)
    return false;
  const std::string message = jpeg.message();
  if (jpeg.failed()) {
    jpeg.renew();
    throw BadSample("cannot be decoded: " + printable(message));
  }
  // libjpeg keeps its first warning only, so truncation after damage is found by the missing
  // marker.
  if (message.find("Premature end of JPEG file") != std::string::npos || !has_end_marker(bytes))
    throw BadSample("truncated");
  return true;
}

// (a * b / 255), rounded, of bytes.
int scaled(int a, int b) {
  const int product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

// Adobe stores 255 - C, 255 - M, 255 - Y, 255 - K; a colour is (255 - C) darkened by (255 - K).
void cmyk_to_rgb(const std::vector<uint8_t>& cmyk, Image& image) {
  uint8_t* out = image.data();
  for (size_t i = 0; i < cmyk.size(); i += 4) {
    const int light = cmyk[i + 3];
    for (size_t c = 0; c < 3; ++c)
      *out++ = static_cast<uint8_t>(light - scaled(255 - cmyk[i + c], light));
  }
}

}  // namespace

// Thumbnails have end markers too, but lie in segments before the scan header.
bool has_end_marker(std::span<const uint8_t> bytes) {
  size_t at = 2;
  while (at + 4 <= bytes.size() && bytes[at] == 0xFF && bytes[at + 1] != 0xDA)
    at += bytes[at + 1] == 0xFF ? 1 : size_t{2} + (size_t{bytes[at + 2]} << 8 | bytes[at + 3]);
  for (size_t i = bytes.size(); i-- > at + 1;)
    if (bytes[i] == 0xD9 && bytes[i - 1] == 0xFF) return true;
  return false;
}

Image decode_jpeg(std::span<const uint8_t> bytes, const DecodeOptions& options) {
  thread_local Decompressor jpeg;
  int width = 0, height = 0, subsampling = 0, colours = 0;
  if (tjDecompressHeader3(jpeg.get(), bytes.data(), bytes.size(), &width, &height, &subsampling,
                          &colours) != 0 &&
      (width <= 0 || height <= 0 || jpeg.failed())) {
    const std::string message = jpeg.message();
    jpeg.renew();
    if (message.find("DNL") != std::string::npos) throw BadSample("size missing");
    if (message.find("Premature end") != std::string::npos) throw BadSample("truncated");
    throw BadSample("cannot be decoded: " + printable(message));
  }
  check_pixels(width, height, options);
  Image image(width, height);
  bool damaged = false;
  if (colours == TJCS_CMYK || colours == TJCS_YCCK) {
    std::vector<uint8_t> cmyk(image.bytes() / 3 * 4);
    damaged = decompress(jpeg, bytes, cmyk.data(), width, height, TJPF_CMYK);
    cmyk_to_rgb(cmyk, image);
  } else {
    damaged = decompress(jpeg, bytes, image.data(), width, height, TJPF_RGB);
  }
  if (damaged && options.strict) throw BadSample("damaged: " + printable(jpeg.message()));
  if (damaged) image.set_damaged();
  return image;
}

}  // namespace stair::data
