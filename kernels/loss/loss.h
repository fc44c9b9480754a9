// Contract of softmax cross-entropy.
#pragma once

#include <cstdint>

#include "kernels/registry.h"

namespace stair::kernels {

// With p = softmax(x) and the target distribution
//   t = (1 - smoothing) * onehot + smoothing / classes
//   loss[r]   = -sum_c t[c] * log p[c]     0 where target[r] == ignore_index
//   grad[r,c] = p[c] - t[c]                0 where ignored
// A class with t = 0 adds nothing to the loss. The error of the gradient is relative to 1. The
// log-sum-exp is taken relative to the row's maximum. Targets outside [0, classes) are the caller's
// error.
template <class T>
struct SoftmaxCrossEntropy {
  struct Args {
    int64_t rows, classes;
    const T* x;             // [rows, classes]
    const int64_t* target;  // [rows]
    T smoothing;
    int64_t ignore_index;
    T* loss;  // [rows]
    T* grad;  // [rows, classes] or null; may be x
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("softmax_cross_entropy");
};

// y = softmax(x) by row, or log softmax. y may be x.
template <class T>
struct Softmax {
  struct Args {
    int64_t rows, classes;
    bool log;
    const T* x;
    T* y;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("softmax");
};

}  // namespace stair::kernels
