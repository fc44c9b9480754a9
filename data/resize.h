// Anti-aliased bilinear resizing, equal to Pillow's in every byte.
//
// Each output pixel is the mean of the input under a triangle of width 2 * max(ratio, 1), first
// along rows, then along columns, each rounded to a byte: q = (2^21 + sum(p[i] * k[i])) >> 22 with
// k[i] = floor(0.5 + w[i] * 2^22), where w are the weights of the triangle at the pixels' centres,
// in double, divided by their sum. A direction whose size does not change is copied. Source:
// Pillow's Image.resize(size, BILINEAR, box).
#pragma once

#include <cstdint>

#include "data/image.h"

namespace stair::data {

// Part of the input in pixels, which need not be whole.
struct Box {
  float left, top, right, bottom;
};

struct ResizeOptions {
  int width = 0;  // of the whole output
  int height = 0;
  // The part of the output that is computed: the same bytes as cutting it out of the whole.
  int window_x = 0, window_y = 0, window_width = 0, window_height = 0;
};

// All of `image` scaled to width x height.
Image resize(const ImageView& image, int width, int height);

// The part `box` of `image` scaled to width x height. As in Pillow, pixels beside the box count at
// its edges; to keep them out, resize image.crop(...). Throws ShapeError when the box is empty or
// not inside, or a size is not positive.
Image resize(const ImageView& image, int width, int height, const Box& box);

// The window of `image` scaled, written to `out` as rows of `stride` bytes.
// Throws ShapeError when the window is not inside, or a size is not positive.
void resize_into(const ImageView& image, const ResizeOptions& options, uint8_t* out,
                 ptrdiff_t stride);

}  // namespace stair::data
