// Contract of batch normalization over rows of C channels (NHWC seen as [rows, C]).
#pragma once

#include <cstdint>
#include <limits>

#include "core/dtype.h"
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

// What training needs to know of a batch: mean and biased variance as above, rest = mean before it
// was rounded - mean, and the extremes of each channel (of all values, NaN left out).
template <class T>
struct BatchStatistics {
  struct Args {
    int64_t rows, channels;  // rows >= 1
    const T* x;              // [rows,C]
    T *mean, *var, *rest;    // [C]
    T *min, *max;            // [C], or null
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("batch_statistics");
};

// What follows a batch norm in the same pass over memory: an activation function, and codes.
//   y = (x - mean) * scale + shift        a = clamp(y, low, high)
//   result: a (dtype f32), or q = clamp(rne(a * (1 / q_scale)) + zero_point, qmin, qmax) (u8, s8);
//           the code of NaN is zero_point
//   inside = low < y < high, and for codes the clamp to [qmin, qmax] changes nothing; everything is
//            inside where there are neither codes nor an activation function
template <class T>
struct NormalizedOutput {
  int64_t rows, channels;
  const T* x;                     // [rows,C]
  const T *mean, *scale, *shift;  // [C]
  T low, high;                    // of the activation function; infinite without one
  DType dtype;
  float q_scale;
  int32_t zero_point, qmin, qmax;

  // Whether anything can be outside.
  bool active() const {
    constexpr T kInfinity = std::numeric_limits<T>::infinity();
    return dtype != DType::f32 || low > -kInfinity || high < kInfinity;
  }
};

// The result in one pass. Exact: the bits of batch_norm, ReLU and quantize in a row.
template <class T>
struct NormalizeActivate {
  struct Args {
    NormalizedOutput<T> output;
    void* result;  // [rows,C]
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("normalize_activate");
};

// How rows are cut for their sums: `rows` of each chunk but the last. Depends on the shape alone.
struct RowChunks {
  int64_t count, rows;
};
RowChunks row_chunks(int64_t rows, int64_t channels);

// BatchNormBackward in training with g = inside ? gy : 0 for its gy, where inside is computed anew
// from x, in parts: the sums of any rows, on the thread of the caller; factors, from all sums; the
// gradient of any rows.
//   sums += sum(g), sum(g * (x - mean))
template <class T>
struct NormalizeActivateSums {
  struct Args {
    NormalizedOutput<T> output;
    const T* gy;
    double* sums;  // [2,C]
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("normalize_activate_sums");
};

//   ggamma = sum(g * xhat)   gbeta = sum(g)
//   scale = gamma * invstd   shift = gbeta / rows   slope = ggamma * invstd / rows
struct GradientFactors {
  int64_t rows, channels;
  int64_t chunks;
  double* sums;        // [chunks,2,C], added up in order; used up
  const float* gamma;  // [C] or null: 1
  const float* invstd;
  float *ggamma, *gbeta;  // [C]
  float* factors;         // [3,C]: scale, shift, slope
};
void gradient_factors(const GradientFactors& f);

//   gx = scale * (g - shift - (x - mean) * slope)
template <class T>
struct NormalizeActivateGradient {
  struct Args {
    NormalizedOutput<T> output;
    const T* gy;
    const T* factors;  // [3,C]
    T* gx;             // [rows,C]
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("normalize_activate_gradient");
};

}  // namespace stair::kernels
