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

// x as codes: x[i] = scale * ((q[i] ^ flip) - zero), where flip turns s8 into u8.
struct OuterCodes {
  const uint8_t* q;
  int32_t flip, zero;
  float scale;
};

// One tile of gw over one chunk of pixels, for each r < rows and each column j:
//   gw[r][j] (+)= sum_{image, row, col} g[pixel][r] * x[image * x_image + row * x_row + col *
//   x_pixel + j]
// where pixels follow each other at g_pixel. May read up to OuterMicro::rows floats from each
// g[pixel].
struct OuterPanel {
  const float* x;
  int64_t x_pixel, x_row, x_image;
  const float* g;
  int64_t g_pixel;
  int64_t images, rows, cols;
  float* gw;
  int64_t gw_row;          // distance of output channels
  int64_t count, columns;  // of the tile inside gw: at most the rows of the tile, and 2 * lanes
  bool add;                // to what gw holds, else overwrite
  OuterCodes codes{};      // in place of x, for panel_of_codes
  Distance next[2] = {};   // from g
};

// Copies pixels and cuts their floats into tiles:
//   to[tile * to_tile + pixel * to_pixel + j] = from[pixel * from_pixel + tile * width + j]
// May also write zeros up to the next multiple of `lanes` after each run.
struct CopyTiles {
  const float* from;
  int64_t from_pixel;
  float* to;
  int64_t to_pixel, to_tile;
  int64_t pixels, floats, width;
};

// A tile of `rows` output channels, at most as many as lanes.
struct OuterTile {
  int64_t rows;
  void (*panel)(const OuterPanel&);
  void (*panel_of_codes)(const OuterPanel&);
};

struct OuterMicro {
  int64_t lanes;       // of a vector
  OuterTile tiles[3];  // the largest first; the others waste less on some numbers of channels
  void (*copy)(const CopyTiles&);
};

// The largest tile, or a smaller one that leaves clearly fewer rows empty.
const OuterTile& choose_tile(const OuterMicro& m, int64_t channels);
// gw = the sum of `splits` arrays that follow each other, in order.
void add_partial_sums(const float* sums, int64_t splits, int64_t floats, float* gw);

void outer_backward_weights(const ConvBackwardWeights<float>::Args& a, const OuterMicro& micro);
// Of pointwise layers.
void outer_codes_backward_weights(const CodesBackwardWeights::Args& a, const OuterMicro& micro);

}  // namespace stair::kernels
