// The bf16 backward passes where no unit multiplies bf16 fast: gradients rounded to their terms,
// then the f32 kernels.
#pragma once

#include "kernels/conv_bf16/conv_bf16.h"

namespace stair::kernels {

// The passes over memory, each over `count` elements of a row.
struct RoundedPasses {
  // to = r(from * scale); scale may be null
  void (*round)(const float* from, const float* scale, int64_t count, int terms, float* to);
  // to = from - zero_point
  void (*widen_u8)(const uint8_t* from, int32_t zero_point, int64_t count, float* to);
  void (*widen_s8)(const int8_t* from, int32_t zero_point, int64_t count, float* to);
  void (*scale)(float* v, float factor, int64_t count);
};

void rounded_backward_data(const ConvBf16BackwardData::Args& a, const RoundedPasses& passes);
void rounded_backward_weights(const ConvBf16BackwardWeights::Args& a, const RoundedPasses& passes);

}  // namespace stair::kernels
