// Contract of the pooling operations, NHWC.
#pragma once

#include <cstdint>

#include "kernels/registry.h"

namespace stair::kernels {

// Each padding is smaller than the window in its direction, so that every window meets the picture.
struct PoolShape {
  int64_t n = 1, h = 1, w = 1, c = 1;
  int64_t kh = 1, kw = 1, stride_h = 1, stride_w = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  bool count_include_pad = true;  // average: whether padding counts as elements

  int64_t oh() const { return (h + pad_top + pad_bottom - kh) / stride_h + 1; }
  int64_t ow() const { return (w + pad_left + pad_right - kw) / stride_w + 1; }
};

// y = max over the window, padding excluded. `index` (may be null) gets the place of the first
// maximum in the window, ky * KW + kx. NaN wins (the first one). Element: f32, f64, u8 or s8 (codes
// keep their quantization parameters).
template <class T>
struct MaxPool {
  struct Args {
    PoolShape s;
    const T* x;
    T* y;
    int32_t* index;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = sizeof(T) == 4   ? "max_pool_f32"
                                       : sizeof(T) == 8 ? "max_pool_f64"
                                       : T(-1) < T(0)   ? "max_pool_s8"
                                                        : "max_pool_u8";
};

// gx[...] = sum of gy of the windows whose maximum the pixel was. Overwrites gx.
template <class T>
struct MaxPoolBackward {
  struct Args {
    PoolShape s;
    const T* gy;
    const int32_t* index;
    T* gx;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("max_pool_backward");
};

// y = sum over the window / count (padding adds 0), count = KH*KW or the elements inside the
// picture (count_include_pad).
template <class T>
struct AvgPool {
  struct Args {
    PoolShape s;
    const T* x;
    T* y;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("avg_pool");
};

// gx[...] = sum of gy / count over the windows that hold the pixel. Overwrites gx.
template <class T>
struct AvgPoolBackward {
  struct Args {
    PoolShape s;
    const T* gy;
    T* gx;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("avg_pool_backward");
};

}  // namespace stair::kernels
