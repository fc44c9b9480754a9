#include "data/decode.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/text.h"
#include "data/jpeg.h"
#include "data/jpeg_part.h"
#include "data/raster.h"

namespace stair::data {
namespace {

constexpr size_t kLongestPath = 4096;
constexpr const char* kFormats = "JPEG, PNG, BMP, WebP and binary PNM are";

class File {
 public:
  // Opening a pipe must not wait for its writer.
  explicit File(const std::string& path)
      : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (descriptor_ < 0) throw BadSample(std::strerror(errno));
  }
  ~File() { close(descriptor_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // The whole file in `bytes`. A file that shrinks meanwhile is refused.
  void read_all(const DecodeOptions& options, std::vector<uint8_t>& bytes) const {
    struct stat status;
    if (fstat(descriptor_, &status) != 0) throw BadSample(std::strerror(errno));
    if (!S_ISREG(status.st_mode)) throw BadSample("not a regular file");
    if (status.st_size > options.max_bytes)
      throw BadSample(str(status.st_size, " bytes, more than the limit of ", options.max_bytes),
                      "--max-image-bytes raises the limit");
    bytes.resize(static_cast<size_t>(status.st_size));
    for (size_t at = 0; at < bytes.size();) {
      const ssize_t got = read(descriptor_, bytes.data() + at, bytes.size() - at);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw BadSample(std::strerror(errno));
      if (got == 0) throw BadSample("the file shrank while it was read");
      at += static_cast<size_t>(got);
    }
  }

 private:
  int descriptor_;
};

bool has(std::string_view text, std::string_view part, size_t at = 0) {
  return text.size() >= at && text.substr(at, part.size()) == part;
}

std::string_view head(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 32)};
}

// use(the bytes of the file), errors preceded by its name.
template <class F>
auto read_file(const std::string& path, const DecodeOptions& options, const F& use) {
  // Kept between calls: reading into fresh memory would zero it each time.
  thread_local std::vector<uint8_t> bytes;
  try {
    File(path).read_all(options, bytes);
    return use(bytes);
  } catch (const BadSample& error) {
    throw BadSample(str("'", printable(path, kLongestPath), "': ", error.what()), error.hint());
  }
}

Part whole(Image image, const ChooseCrop& choose) {
  const Crop crop = choose(image.width(), image.height());
  return {std::move(image), crop};
}

}  // namespace

ImageFormat sniff(std::span<const uint8_t> bytes) {
  using namespace std::string_view_literals;
  const std::string_view start = head(bytes);
  if (has(start, "\xFF\xD8\xFF"sv)) return ImageFormat::jpeg;
  if (has(start, "\x89PNG\r\n\x1A\n"sv)) return ImageFormat::png;
  if (has(start, "RIFF"sv) && has(start, "WEBP"sv, 8)) return ImageFormat::webp;
  if (has(start, "GIF8"sv)) return ImageFormat::gif;
  if (has(start, "II*\0"sv) || has(start, "MM\0*"sv)) return ImageFormat::tiff;
  if (has(start, "ftyp"sv, 4)) return ImageFormat::heif;
  // The reserved words of a bitmap are zero; without them any text that starts with BM would be
  // one.
  if (has(start, "BM"sv) && has(start, "\0\0\0\0"sv, 6)) return ImageFormat::bmp;
  if (start.size() > 2 && start[0] == 'P' && (start[1] == '5' || start[1] == '6') &&
      (start[2] == '\n' || start[2] == ' ' || start[2] == '\r' || start[2] == '\t'))
    return ImageFormat::pnm;
  return ImageFormat::unknown;
}

Image decode(std::span<const uint8_t> bytes, const DecodeOptions& options) {
  if (bytes.empty()) throw BadSample("empty file");
  const ImageFormat format = sniff(bytes);
  switch (format) {
    case ImageFormat::jpeg:
      return decode_jpeg(bytes, options);
    case ImageFormat::png:
    case ImageFormat::bmp:
    case ImageFormat::webp:
    case ImageFormat::pnm:
      return decode_raster(bytes, format, options);
    case ImageFormat::gif:
      throw BadSample(str("GIF is not built in; ", kFormats));
    case ImageFormat::tiff:
      throw BadSample(str("TIFF is not built in; ", kFormats));
    case ImageFormat::heif:
      throw BadSample(str("HEIF / AVIF is not built in; ", kFormats));
    case ImageFormat::unknown:
      break;
  }
  throw BadSample(str("not an image (starts with \"", printable(head(bytes), 16), "\")"));
}

Part decode_part(std::span<const uint8_t> bytes, const ChooseCrop& choose,
                 const DecodeOptions& options) {
  if (sniff(bytes) == ImageFormat::jpeg && !options.strict)
    return decode_jpeg_part(bytes, choose, options);
  return whole(decode(bytes, options), choose);
}

Image decode_file(const std::string& path, const DecodeOptions& options) {
  return read_file(path, options,
                   [&](std::span<const uint8_t> bytes) { return decode(bytes, options); });
}

Part decode_file_part(const std::string& path, const ChooseCrop& choose,
                      const DecodeOptions& options) {
  return read_file(path, options, [&](std::span<const uint8_t> bytes) {
    return decode_part(bytes, choose, options);
  });
}

}  // namespace stair::data
