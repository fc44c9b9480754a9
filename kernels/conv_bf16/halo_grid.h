// Pictures laid out so that every tap of a convolution is one distance in memory.
//
// A grid of output pixels reads a source at (row + dy, column + dx). Lines of the source are stored
// one after the other, with zeros after each that serve the line's end and the next line's start;
// pictures are stored below each other in the same way. Output pixels are numbered with the pitch
// of these lines, so pixel m reads place m + offset(dy, dx) for all taps; the numbers between the
// lines stand for nothing.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/conv/conv.h"

namespace stair::kernels {

inline int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// One axis: `grid` positions read source positions lo to grid - 1 + hi of `source`.
struct HaloAxis {
  int64_t grid = 1, source = 1;
  int64_t lo = 0, hi = 0;  // lo <= 0 <= hi

  void include(int64_t shift) { lo = std::min(lo, shift), hi = std::max(hi, shift); }
  int64_t lead() const { return -lo; }
  int64_t used() const { return std::min(grid + hi, source); }
  int64_t pitch() const { return std::max(grid, used() + std::max(lead(), grid + hi - used())); }
};

// Output pixels that are worked on at a time: pictures, or rows of one picture.
struct HaloChunk {
  int64_t image, images, row, rows;
};

struct HaloGrid {
  HaloAxis rows, cols;
  int64_t images = 1;

  // Chunks of about `pixels` output pixels.
  void cut(int64_t pixels);
  int64_t chunks() const { return ceil_div(images, chunk_images_) * row_chunks_; }
  HaloChunk chunk(int64_t index) const;
  HaloChunk largest_chunk() const { return {0, chunk_images_, 0, chunk_rows_}; }

  // Numbers of output pixels in a chunk.
  int64_t length(const HaloChunk& c) const {
    return ((c.images - 1) * rows.pitch() + c.rows) * cols.pitch();
  }
  // Lines of the source that a chunk reads.
  int64_t lines(const HaloChunk& c) const {
    return rows.lead() + (c.images - 1) * rows.pitch() + c.rows + rows.hi;
  }
  // Places of a chunk's source.
  int64_t places(const HaloChunk& c) const {
    return cols.lead() + lines(c) * cols.pitch() + cols.hi;
  }
  int64_t line_start(int64_t line) const { return cols.lead() + line * cols.pitch(); }
  int64_t offset(int64_t dy, int64_t dx) const { return line_start(rows.lead() + dy) + dx; }
  // The number of a chunk's output pixel at the start of a row, counted from the chunk's first.
  int64_t number(int64_t image, int64_t row) const {
    return (image * rows.pitch() + row) * cols.pitch();
  }

  struct Line {
    int64_t image, y;  // outside the picture: y is not in [0, source)
  };
  Line line(const HaloChunk& c, int64_t index) const;

 private:
  int64_t chunk_images_ = 1, chunk_rows_ = 1, row_chunks_ = 1;
};

}  // namespace stair::kernels
