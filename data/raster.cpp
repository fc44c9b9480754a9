#include "data/raster.h"

#include <cstdlib>
#include <opencv2/imgcodecs.hpp>
#include <utility>

#include "core/text.h"
#include "data/limits.h"

namespace stair::data {
namespace {

using Bytes = std::span<const uint8_t>;

// Integers of `count` bytes at `at`. Throws BadSample when the file ends before.
int64_t big_endian(Bytes bytes, size_t at, size_t count) {
  if (at + count > bytes.size()) throw BadSample("truncated");
  int64_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | bytes[at + i];
  return value;
}

int64_t little_endian(Bytes bytes, size_t at, size_t count) {
  if (at + count > bytes.size()) throw BadSample("truncated");
  int64_t value = 0;
  for (size_t i = count; i-- > 0;) value = value << 8 | bytes[at + i];
  return value;
}

std::pair<int64_t, int64_t> png_size(Bytes bytes) {
  return {big_endian(bytes, 16, 4), big_endian(bytes, 20, 4)};
}

std::pair<int64_t, int64_t> bmp_size(Bytes bytes) {
  if (little_endian(bytes, 14, 4) == 12)
    return {little_endian(bytes, 18, 2), little_endian(bytes, 20, 2)};
  // Top-down files have a negative height.
  const auto height = static_cast<int32_t>(little_endian(bytes, 22, 4));
  return {static_cast<int32_t>(little_endian(bytes, 18, 4)), std::abs(int64_t{height})};
}

std::pair<int64_t, int64_t> webp_size(Bytes bytes) {
  if (little_endian(bytes, 4, 4) + 8 > static_cast<int64_t>(bytes.size()))
    throw BadSample("truncated");
  const int64_t kind = big_endian(bytes, 12, 4);
  if (kind == 0x56503820)  // lossy: "VP8 "
    return {little_endian(bytes, 26, 2) & 0x3FFF, little_endian(bytes, 28, 2) & 0x3FFF};
  if (kind == 0x5650384C) {  // lossless: "VP8L"
    const int64_t bits = little_endian(bytes, 21, 4);
    return {(bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1};
  }
  return {little_endian(bytes, 24, 3) + 1, little_endian(bytes, 27, 3) + 1};
}

// "P6 width height ...", with comments from # to the end of the line.
std::pair<int64_t, int64_t> pnm_size(Bytes bytes) {
  int64_t numbers[2] = {0, 0};
  size_t at = 2;
  for (int64_t& number : numbers) {
    while (at < bytes.size() && (bytes[at] == '#' || bytes[at] <= ' ')) {
      if (bytes[at] == '#')
        while (at < bytes.size() && bytes[at] != '\n') ++at;
      else
        ++at;
    }
    for (; at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '9'; ++at)
      if (number < 1'000'000'000) number = number * 10 + (bytes[at] - '0');
  }
  return {numbers[0], numbers[1]};
}

std::pair<int64_t, int64_t> header_size(Bytes bytes, ImageFormat format) {
  switch (format) {
    case ImageFormat::png:
      return png_size(bytes);
    case ImageFormat::bmp:
      return bmp_size(bytes);
    case ImageFormat::webp:
      return webp_size(bytes);
    default:
      return pnm_size(bytes);
  }
}

void check_png_complete(Bytes bytes) {
  constexpr int64_t kEnd = 0x49454E44;  // IEND
  for (size_t at = 8;;) {
    const auto length = static_cast<size_t>(big_endian(bytes, at, 4));
    big_endian(bytes, at + 8 + length, 4);
    if (big_endian(bytes, at + 4, 4) == kEnd) return;
    at += 12 + length;
  }
}

void check_bmp_complete(Bytes bytes, int64_t width, int64_t height) {
  if (little_endian(bytes, 14, 4) == 12 || little_endian(bytes, 30, 4) != 0)
    return;  // old, or compressed
  const int64_t row = (width * little_endian(bytes, 28, 2) + 31) / 32 * 4;
  if (little_endian(bytes, 10, 4) + row * height > std::ssize(bytes)) throw BadSample("truncated");
}

// The decoders behind OpenCV write to standard error when they meet the end of the file, so it is
// looked for first.
void check_complete(Bytes bytes, ImageFormat format, int64_t width, int64_t height) {
  if (format == ImageFormat::png) check_png_complete(bytes);
  if (format == ImageFormat::bmp) check_bmp_complete(bytes, width, height);
}

}  // namespace

Image decode_raster(Bytes bytes, ImageFormat format, const DecodeOptions& options) {
  const auto [width, height] = header_size(bytes, format);
  check_pixels(width, height, options);
  check_complete(bytes, format, width, height);
  cv::Mat decoded;
  try {
    // OpenCV's interface lacks const; imdecode does not write.
    const cv::Mat input(1, static_cast<int>(bytes.size()), CV_8U,
                        const_cast<uint8_t*>(bytes.data()));
    decoded = cv::imdecode(input, cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION);
  } catch (const cv::Exception& error) {
    throw BadSample("cannot be decoded: " + printable(error.what(), 200));
  }
  if (decoded.empty()) throw BadSample("cannot be decoded");
  Image image(decoded.cols, decoded.rows);
  uint8_t* out = image.data();
  for (int y = 0; y < decoded.rows; ++y) {
    const uint8_t* bgr = decoded.ptr(y);
    for (int x = 0; x < decoded.cols; ++x, bgr += 3, out += 3) {
      out[0] = bgr[2];
      out[1] = bgr[1];
      out[2] = bgr[0];
    }
  }
  return image;
}

}  // namespace stair::data
