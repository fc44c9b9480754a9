// The matrix products behind the fast bf16 backward passes.
//
// A is rows of bf16, the depth contiguous. B is panels of 32 columns, two of the depth beside each
// other: panel[depth / 2][32][2]. The drivers are plain C++; a unit that multiplies bf16 provides
// the product, and one set of AVX-512 passes packs for all of them.
//
// Backward to the data: A are the gradient's terms of the pixels (halo_grid.h), the depth their
// output channels, and every tap and term adds a product with its panel of weights.
// Backward to the weights: the depth are pixels. A are the planes of x, one an input channel, where
// a tap is a shift by pixels; B are pairs of pixels of the gradient's terms.
#pragma once

#include <cstdint>

#include "kernels/conv_bf16/conv_bf16.h"

namespace stair::kernels {

inline constexpr int64_t kBf16Columns = 32;  // of a panel

// sums[row][column] (+)= sum over parts and depth of a[row] * b, row < rows.
struct Bf16Product {
  struct Part {
    const uint16_t* a;  // of row 0
    const uint16_t* b;
  };
  const Part* parts;
  int64_t count;  // of parts
  int64_t depth;  // of each part, a multiple of Bf16Unit::depth
  int64_t a_row;  // distance of rows
  int64_t rows, columns;
  float* sums;
  int64_t sums_row;
  bool add;  // to what sums holds, else overwrite; all columns of the panel's half are written
};

// Runs of pixels of the gradient, each times scale[channel] (null: 1), as bf16 terms:
//   to[term * to_term + pixel * depth + channel], zeros from `channels` to `depth`
struct SplitPixels {
  const float* from;
  int64_t from_pixel;
  const float* scale;
  int64_t pixels, channels, depth;
  int terms;
  uint16_t* to;
  int64_t to_term;
};

// Pixels of the gradient in pairs, as bf16 terms: to[term * to_term + pair][32][2], zeros beyond
// `columns`. pixel[2 * pair] and the next are where the pixels are.
struct PairPixels {
  const float* const* pixel;
  int64_t offset;  // added to every pointer
  int64_t pairs, columns;
  int terms;
  uint16_t* to;
  int64_t to_term;
};

// Codes of pixels as planes of bf16: to[channel * to_plane + pixel] = from - zero_point, then
// `zeros` zeros.
struct CodePlanes {
  const uint8_t* from;
  int64_t from_pixel;
  bool is_signed;
  int32_t zero_point;
  int64_t pixels, zeros, channels;
  uint16_t* to;
  int64_t to_plane;
};

// Weights of one tap as a panel: to[depth / 2][32][2] from w[channel * w_channel + column].
struct PackWeights {
  const int8_t* w;
  int64_t w_channel;
  int64_t channels, depth;  // zeros from `channels` to `depth`
  int64_t columns;          // zeros beyond
  uint16_t* to;
};

// Finished sums of pixels: to[pixel * to_pixel + column] = sums[pixel * 32 + column].
struct StorePixels {
  const float* sums;
  float* to;
  int64_t to_pixel, pixels, columns;
};

// gw[column * gw_column + row] = scale * sum over splits of sums[split * to_split + row * sums_row
// + column].
struct StoreWeights {
  const float* sums;
  int64_t splits, split, sums_row;
  int64_t rows, columns;
  float scale;
  float* gw;
  int64_t gw_column;
};

struct Bf16Unit {
  int64_t depth;   // the depth of a part is a multiple of this
  int64_t rows;    // of a tile: A may be read up to the next multiple
  int64_t pixels;  // worked on at a time, where the channels leave the cache room
  int64_t cache;   // bytes that a task may work on
  void (*multiply)(const Bf16Product&);
  void (*split_pixels)(const SplitPixels&);
  void (*pair_pixels)(const PairPixels&);
  void (*code_planes)(const CodePlanes&);
  void (*pack_weights)(const PackWeights&);
  void (*store_pixels)(const StorePixels&);
  void (*store_weights)(const StoreWeights&);
};

void bf16_backward_data(const ConvBf16BackwardData::Args& a, const Bf16Unit& unit);
void bf16_backward_weights(const ConvBf16BackwardWeights::Args& a, const Bf16Unit& unit);

}  // namespace stair::kernels
