// Depthwise convolutions: the operations of kernels/conv/conv.h for shapes with one input and one
// output channel a group.
//
// An output row is cut into segments whose columns all have the same taps inside the picture, so
// that the kernels know no padding. The driver is plain C++; an instruction set provides the two
// loops over a segment.
#pragma once

#include <cstdint>

#include "kernels/conv/conv.h"

namespace stair::kernels {

// out[col * out_step + c] = bias[c] + sum_tap in[tap][col * in_step + c] * w[tap][c]
struct DepthwiseRow {
  const float* const* in;  // [tap]
  const float* const* w;   // [tap]
  const float* bias;       // [channels] or null
  float* out;
  int64_t taps, channels, cols;
  int64_t in_step, out_step;
  Distance next = 0;  // from out
};

// sums[tap][c] += sum_col g[col * g_step + c] * in[tap][col * in_step + c]
// for floats, or for codes (X = uint8_t) that stand for (code ^ flip) - zero, where flip turns s8
// into u8.
template <class X>
struct DepthwiseSum {
  const X* const* in;  // [tap]
  float* const* sums;  // [tap]
  const float* g;
  int64_t taps, channels, cols;
  int64_t in_step, g_step;
  Distance next[2] = {};  // from g
  int32_t flip = 0, zero = 0;

  // Whether the taps are whole rows of `width` neighbouring pixels.
  bool rows_of(int64_t width) const {
    if (taps % width != 0) return false;
    for (int64_t t = 0; t < taps; ++t)
      if (in[t] != in[t - t % width] + t % width * channels) return false;
    return true;
  }
};

struct DepthwiseMicro {
  void (*row)(const DepthwiseRow&);
  void (*sum)(const DepthwiseSum<float>&);
  void (*codes_sum)(const DepthwiseSum<uint8_t>&);
};

void depthwise_forward(const ConvForward<float>::Args& a, const DepthwiseMicro& micro);
void depthwise_backward_data(const ConvBackwardData<float>::Args& a, const DepthwiseMicro& micro);
void depthwise_backward_weights(const ConvBackwardWeights<float>::Args& a,
                                const DepthwiseMicro& micro);
void depthwise_codes_backward_weights(const CodesBackwardWeights::Args& a,
                                      const DepthwiseMicro& micro);

}  // namespace stair::kernels
