// The indirect matrix product behind the float convolutions: forward, and backward to the data.
//
// The rows of the product are output pixels, all images flattened. Each of a tile's pixels reaches
// its input through one pointer a tap; a tap outside the picture points to zeros. Weights are
// packed once a call into panels [group][panel][tap][depth][2 * lanes]. The driver is plain C++; an
// instruction set provides one microkernel.
#pragma once

#include <cstdint>

#include "kernels/conv/conv.h"

namespace stair::kernels {

// What a microkernel computes: one panel of output channels for the tiles of a block of pixels.
//   out[p][column] = bias[column] + sum_{tap, d} in[p][tap][d] * weights[tap][d][column]
struct IgemmPanel {
  const float* const* in;  // [tile][tap][pixel of the tile]
  float* const* out;       // [pixel]
  const float* weights;  // [tap][depth][width], width = 2 * lanes, or lanes where columns <= lanes
  const float* bias;     // [width] or null
  int64_t pixels, taps, depth;
  int64_t in_offset,
      out_offset;   // added to every pointer: the group's first channel, the panel's first column
  int64_t columns;  // of the panel, at most 2 * lanes
  int64_t
      fetch_ahead;  // distance to the input of the next tile where that is worth a prefetch, else 0
  Distance next = 0;    // from out
  bool stream = false;  // store past the caches: whole vectors only, at multiples of a vector
};

struct IgemmMicro {
  int64_t pixels;  // of a tile
  int64_t lanes;   // of a vector
  void (*panel)(const IgemmPanel&);
};

// The weights of one tap for a panel: `count` columns of `depth` floats as [depth][width], zeros
// beyond `count`.
struct WeightPanel {
  const float* weights;
  int64_t depth, depth_step, column_step;
  int64_t count, width;
};
void pack_weights(const WeightPanel& a, float* out);

void igemm_forward(const ConvForward<float>::Args& a, const IgemmMicro& micro);
void igemm_backward_data(const ConvBackwardData<float>::Args& a, const IgemmMicro& micro);

}  // namespace stair::kernels
