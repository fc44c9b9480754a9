// Contract of the backward passes of integer convolutions in bf16. One operand of each product is
// an 8-bit integer less its zero point, which bf16 holds exactly; only the gradient rounds, to the
// sum of one or two bf16 terms:
//
//   t1(v) = bf16(v), t2(v) = bf16(v - t1(v))      bf16() rounds to nearest, ties to even
//   r(v)  = t1(v), or t1(v) + t2(v) with two terms
//
// Indices as in kernels/conv/conv.h. Numerics: products are exact, sums are f32; against the same
// gradient without rounding the result is within 2^-8 (one term) or 2^-16 (two terms), relative to
// the sum of the absolute products, besides the error of f32 sums that conv.h allows. Bits are the
// same for any number of threads under one instruction set on one make of processor. Terms below
// 2^-126 may count as zero; a gradient that is not finite makes results that are not finite.
#pragma once

#include <cstdint>

#include "kernels/conv/conv.h"

namespace stair::kernels {

// gx = sum of r(gy * w_scale[o]) * w over all outputs that read the pixel, the product with the
// scale rounded to f32. Overwrites gx.
struct ConvBf16BackwardData {
  struct Args {
    ConvShape s;
    int terms;             // 1 or 2
    const float* gy;       // [N,OH,OW,O]
    const int8_t* w;       // [O,KH,KW,I], zero points 0
    const float* w_scale;  // [O]
    float* gx;             // [N,H,W,C]
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = "conv_bf16_backward_data";
};

// gw[o,ky,kx,i] = x_scale * sum_{n,oy,ox} r(gy) * (x - x_zero_point). Overwrites gw. The zero point
// is one of the codes of x.
struct ConvBf16BackwardWeights {
  struct Args {
    ConvShape s;
    int terms;      // 1 or 2
    const void* x;  // [N,H,W,C] u8 or s8
    bool x_signed = false;
    int32_t x_zero_point = 0;
    float x_scale = 1;
    const float* gy;  // [N,OH,OW,O]
    float* gw;        // [O,KH,KW,I]
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = "conv_bf16_backward_weights";
};

}  // namespace stair::kernels
