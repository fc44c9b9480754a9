// Contract of the optimizer steps, as torch.optim defines them. Constants are combined in double
// and rounded to T once; each operation on elements is one of type T in the order written (no fma),
// so the steps are exact on every instruction set.
#pragma once

#include <cstdint>

#include "kernels/registry.h"

namespace stair::kernels {

//   g += weight_decay * p                                        not in memory
//   v  = first ? g : momentum * v + (1 - dampening) * g
//   d  = nesterov ? g + momentum * v : v                         g when momentum is 0
//   p -= lr * d
template <class T>
struct Sgd {
  struct Args {
    int64_t n;
    double lr, momentum, dampening, weight_decay;
    bool nesterov;
    bool first;  // first step of this parameter: v = g
    const T* g;
    T* v;  // null when momentum is 0
    T* p;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("sgd");
};

// Decay: decoupled (AdamW) p *= 1 - lr * weight_decay, else g += weight_decay * p. Then
//   m  = beta1 * m + (1 - beta1) * g
//   v  = beta2 * v + (1 - beta2) * g * g
//   p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
template <class T>
struct Adam {
  struct Args {
    int64_t n;
    double lr, beta1, beta2, eps, weight_decay;
    bool decoupled;
    int64_t step;  // t, from 1
    const T* g;
    T* m;
    T* v;
    T* p;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("adam");
};

}  // namespace stair::kernels
