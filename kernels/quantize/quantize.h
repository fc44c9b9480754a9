// Contract of quantize, dequantize and the straight-through mask. Tensors are seen as [outer,
// channels, inner]; a per-tensor scale is channels = 1.
//
//   v = rne(x * inv_scale) + zero_point       an unbounded integer; inv_scale = 1.0f / scale, one
//                                             float division; rne of the product rounded to T
//   q = clamp(v, qmin, qmax)                  infinities saturate, NaN gives zero_point
//   inside = qmin <= v <= qmax                and x > 0 with relu; a NaN is outside
//   dequantize: x = (q - zero_point) * scale  the subtraction in integers (33 bits), then
//                                             converted to T, then one product of type T
// Exact on every instruction set. The caller sees to it that scale is finite and at least
// kMinScale, and that qmin <= zero_point <= qmax, all within the range of q_dtype.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "kernels/registry.h"

namespace stair::kernels {

struct ChannelLayout {
  int64_t outer = 1, channels = 1, inner = 1;
  int64_t numel() const { return outer * channels * inner; }
};

template <class T>
struct Quantize {
  struct Args {
    ChannelLayout layout;
    const T* x;
    const float* scale;         // [channels]
    const int32_t* zero_point;  // [channels]
    int32_t qmin, qmax;
    bool relu;      // quantize max(x, 0)
    DType q_dtype;  // u8, s8 or s32
    void* q;
    uint8_t* inside;  // bit mask (DType::b1) in memory order, spare bits 0; or null
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("quantize");
};

template <class T>
struct Dequantize {
  struct Args {
    ChannelLayout layout;
    DType q_dtype;
    const void* q;
    const float* scale;
    const int32_t* zero_point;
    T* x;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("dequantize");
};

// gx = inside ? gy : 0. gx may be gy.
template <class T>
struct ApplyMask {
  struct Args {
    int64_t n;
    const uint8_t* inside;
    const T* gy;
    T* gx;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("apply_mask");
};

}  // namespace stair::kernels
