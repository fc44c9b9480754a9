// Contract of the float convolutions: dense, grouped, depthwise, and linear layers (H = W = KH = KW
// = 1).
//
//   y[n,oy,ox,o] = b[o] + sum_{ky,kx,i} x[n, oy*sh - pad_top + ky*dh, ox*sw - pad_left + kx*dw, g*I
//   + i] * w[o,ky,kx,i]
//
// with I = C / groups, g = o / (O / groups), and x = 0 outside the picture. x, y NHWC; w OHWI.
// Numerics: within 1e-5 of the double reference, relative to the sum of the absolute products;
// where tiles of pixels are computed together (winograd.h), within 2e-6 relative to the largest
// such sum of the result. The same bits for any number of threads.
#pragma once

#include <cstdint>

#include "kernels/registry.h"

namespace stair::kernels {

struct ConvShape {
  int64_t n = 1, h = 1, w = 1, c = 1;  // input
  int64_t o = 1, kh = 1, kw = 1;       // output channels, window
  int64_t stride_h = 1, stride_w = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t groups = 1;

  int64_t oh() const {
    return (h + pad_top + pad_bottom - dilation_h * (kh - 1) - 1) / stride_h + 1;
  }
  int64_t ow() const {
    return (w + pad_left + pad_right - dilation_w * (kw - 1) - 1) / stride_w + 1;
  }
  int64_t i() const { return c / groups; }  // input channels of a group
  int64_t k() const { return kh * kw * i(); }
  int64_t rows() const { return n * oh() * ow(); }  // output pixels
  bool depthwise() const { return groups == c && groups == o && groups > 1; }
  // Whether each output pixel reads the one input pixel at its place.
  bool pointwise() const {
    return kh == 1 && kw == 1 && stride_h == 1 && stride_w == 1 && pad_top == 0 && pad_left == 0 &&
           pad_bottom == 0 && pad_right == 0;
  }
  // Pictures of a pointwise convolution as one long column of pixels; others as they are.
  ConvShape flattened() const {
    ConvShape s = *this;
    if (pointwise()) s.h *= n * w, s.n = s.w = 1;
    return s;
  }
};

template <class T>
struct ConvForward {
  struct Args {
    ConvShape s;
    const T* x;     // [N,H,W,C]
    const T* w;     // [O,KH,KW,I]
    const T* bias;  // [O] or null
    T* y;           // [N,OH,OW,O]
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("conv_forward");
};

// Bytes from an array that an operation walks over to one of the same layout that the caller reads
// next, which a kernel may fetch meanwhile. 0: none.
using Distance = intptr_t;
template <class T>
Distance distance(const T* walked, const T* next) {
  return next == nullptr ? 0
                         : static_cast<Distance>(reinterpret_cast<uintptr_t>(next) -
                                                 reinterpret_cast<uintptr_t>(walked));
}

// gx[n,h,w,c] = sum of gy * w over all outputs that read the pixel. Overwrites gx.
template <class T>
struct ConvBackwardData {
  struct Args {
    ConvShape s;
    const T* gy;        // [N,OH,OW,O]
    const T* w;         // [O,KH,KW,I]
    T* gx;              // [N,H,W,C]
    Distance next = 0;  // from gx
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("conv_backward_data");
};

// gw[o,ky,kx,i] = sum_{n,oy,ox} gy * x. Overwrites gw. The split of the pixels depends on the shape
// alone.
template <class T>
struct ConvBackwardWeights {
  struct Args {
    ConvShape s;
    const T* x;             // [N,H,W,C]
    const T* gy;            // [N,OH,OW,O]
    T* gw;                  // [O,KH,KW,I]
    Distance next[2] = {};  // from gy
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("conv_backward_weights");
};

// ConvBackwardWeights for x = scale * (q - zero_point), which is made in registers. Fast for
// depthwise and for pointwise layers.
struct CodesBackwardWeights {
  struct Args {
    ConvShape s;
    const void* q;  // [N,H,W,C], u8, or s8 where q_signed
    bool q_signed;
    int32_t zero_point;
    float scale;
    const float* gy;        // [N,OH,OW,O]
    float* gw;              // [O,KH,KW,I]
    Distance next[2] = {};  // from gy
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = "conv_codes_backward_weights";
};

}  // namespace stair::kernels
