// The register-tiled outer products behind the float convolutions' backward to the weights.
//
//   gw[o, tap, i] = sum over output pixels p of gy[p, o] * x[p at tap, i]
//
// Pixels are cut into chunks whose packed x and gy stay in the L2 cache while every tile of gw (a
// few output channels times two vectors of input channels) walks over them. The driver is plain
// C++; an instruction set provides the tile and the packing.
#pragma once

#include <cstdint>

#include "kernels/conv/conv.h"

namespace stair::kernels {

// One tile of gw over one chunk of pixels:
//   gw[r][j] (+)= sum_{image, row, col} g[image, row, col][r] * x[image * x_image + row * x_row +
//   col * x_pixel + j]
struct OuterPanel {
  const float* x;
  int64_t x_pixel, x_row, x_image;
  const float* g;  // [image][row][col][OuterMicro::rows]
  int64_t images, rows, cols;
  float* gw;
  int64_t gw_row;          // distance of output channels
  int64_t count, columns;  // of the tile inside gw: at most OuterMicro::rows and 2 * lanes
  bool add;                // to what gw holds, else overwrite
};

// Copies `count` runs of `width` floats. May also write zeros up to the next multiple of `lanes`
// after each run.
struct CopyRuns {
  const float* from;
  int64_t from_step;
  float* to;
  int64_t to_step;
  int64_t count, width;
};

struct OuterMicro {
  int64_t rows;   // output channels of a tile, at most `lanes`
  int64_t lanes;  // of a vector
  void (*panel)(const OuterPanel&);
  void (*copy)(const CopyRuns&);
};

void outer_backward_weights(const ConvBackwardWeights<float>::Args& a, const OuterMicro& micro);

}  // namespace stair::kernels
