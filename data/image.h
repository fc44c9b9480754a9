// Pictures in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "core/storage.h"

namespace stair::data {

// A rectangle of 8-bit RGB pixels owned by someone else: rows of `width` pixels, `stride` bytes
// apart. The byte after the last pixel must be readable, since vector code loads pixels as four
// bytes.
struct ImageView {
  const uint8_t* pixels = nullptr;
  int width = 0;
  int height = 0;
  ptrdiff_t stride = 0;

  const uint8_t* row(int y) const { return pixels + y * stride; }
  // The part from column `x` and row `y` on; it must lie inside.
  ImageView crop(int x, int y, int crop_width, int crop_height) const {
    return {row(y) + 3 * x, crop_width, crop_height, stride};
  }
};

// An 8-bit RGB picture, rows without gaps: pixel (x, y) is at data()[3 * (y * width() + x)].
class Image {
 public:
  Image() = default;
  // The pixels are not initialised. Their memory is that of tensors, which is kept for the next
  // picture: fresh pages cost as much as resizing.
  Image(int width, int height)
      : width_(width), height_(height), pixels_(allocate(bytes(), MemoryKind::loader)) {}
  Image(Image&&) = default;
  Image& operator=(Image&&) = default;

  int width() const { return width_; }
  int height() const { return height_; }
  size_t bytes() const {
    return size_t{3} * static_cast<size_t>(width_) * static_cast<size_t>(height_);
  }
  uint8_t* data() { return reinterpret_cast<uint8_t*>(pixels_.get()); }
  const uint8_t* data() const { return reinterpret_cast<const uint8_t*>(pixels_.get()); }
  ImageView view() const { return {data(), width_, height_, ptrdiff_t{3} * width_}; }

  // Whether the file held damaged data that the decoder passed over: some pixels are wrong.
  bool damaged() const { return damaged_; }
  void set_damaged() { damaged_ = true; }

 private:
  int width_ = 0;
  int height_ = 0;
  bool damaged_ = false;
  std::shared_ptr<std::byte> pixels_;
};

// A part of a picture, in whole pixels; it may reach outside, where pixels are 0.
struct Crop {
  int x, y, width, height;
  bool operator==(const Crop&) const = default;
};

// Picks the part that is wanted of a picture of this size.
using ChooseCrop = std::function<Crop(int width, int height)>;

// A picture, or a piece of one: `crop` of `image` is what was wanted.
struct Part {
  Image image;
  Crop crop;
};

}  // namespace stair::data
