// Contract of batch normalization over rows of C channels (NHWC seen as [rows, C]).
#pragma once

#include <cstdint>

#include "kernels/registry.h"

namespace stair::kernels {

//   y = (x - mean) * invstd * gamma + beta      invstd = 1 / sqrt(var + eps)
// training: mean and var (biased) are those of the batch and are written to mean, var (both 0 when
// there are no rows). Otherwise they are read. y may be x.
// Statistics are summed in a fixed split, partial sums combined in double, in a form that keeps the
// variance accurate when |mean| is much larger than the standard deviation. In training y is
// computed with the unrounded mean.
template <class T>
struct BatchNormForward {
  struct Args {
    int64_t rows, channels;
    bool training;
    T eps;
    const T* x;      // [rows,C]
    const T* gamma;  // [C] or null: 1
    const T* beta;   // [C] or null: 0
    T* mean;         // [C]
    T* var;          // [C]
    T* invstd;       // [C], written
    T* y;            // [rows,C]
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("batch_norm_forward");
};

//   gbeta  = sum(gy)
//   ggamma = sum(gy * xhat)      xhat = (x - mean) * invstd
//   gx     = gamma * invstd * (gy - mean(gy) - xhat * mean(gy * xhat))     in training
//   gx     = gamma * invstd * gy                                           otherwise
// gx may be gy.
template <class T>
struct BatchNormBackward {
  struct Args {
    int64_t rows, channels;
    bool training;
    const T* x;
    const T* gy;
    const T* gamma;  // [C] or null: 1
    const T* mean;
    const T* invstd;
    T* gx;      // [rows,C] or null
    T* ggamma;  // [C]
    T* gbeta;   // [C]
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("batch_norm_backward");
};

}  // namespace stair::kernels
