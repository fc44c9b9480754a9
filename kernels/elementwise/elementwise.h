// Contract of the elementwise float operations. T is float or double; an output may be the same
// memory as an input.
#pragma once

#include <cstdint>

#include "kernels/registry.h"

namespace stair::kernels {

// relu         max(x, 0)
// relu6        min(max(x, 0), 6)
// clamp        min(max(x, alpha), beta)
// leaky_relu   x < 0 ? alpha * x : x
// hardsigmoid  relu6(x + 3) / 6
// hardswish    x * relu6(x + 3) / 6
// silu         x * sigmoid(x)
// gelu         x * Phi(x), the exact form
// Gradients at the kinks are those of PyTorch: 0 for relu, relu6, hardsigmoid; 1 for clamp (ends
// included); alpha for leaky_relu; hardswish 0 at -3 and 1 at 3. NaN stays NaN in every forward
// function. relu, relu6, clamp, leaky_relu and their gradients are exact, the others within 1e-5 of
// the reference, relative to the larger of the result and, for a gradient, |gy|.
// clang-format off
enum class UnaryFn {
  relu, relu6, clamp, leaky_relu, sigmoid, tanh, hardsigmoid, hardswish, silu, gelu
};
// clang-format on

template <class T>
struct Unary {
  struct Args {
    UnaryFn fn;
    int64_t n;
    const T* x;
    T* y;
    T alpha = 0, beta = 0;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("unary");
};

// gx = gy * f'(x), 0 where f'(x) is 0 whatever gy
template <class T>
struct UnaryBackward {
  struct Args {
    UnaryFn fn;
    int64_t n;
    const T* x;
    const T* gy;
    T* gx;
    T alpha = 0, beta = 0;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("unary_backward");
};

// y = a op b, same number of elements; exact.
enum class BinaryFn { add, sub, mul, div };

template <class T>
struct Binary {
  struct Args {
    BinaryFn fn;
    int64_t n;
    const T* a;
    const T* b;
    T* y;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("binary");
};

// y += alpha * x (one product of type T, one sum); exact.
template <class T>
struct Axpy {
  struct Args {
    int64_t n;
    T alpha;
    const T* x;
    T* y;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("axpy");
};

// y = x, on the thread of the caller. y passes the caches: for what is read only after much else.
template <class T>
struct StoreFar {
  struct Args {
    int64_t n;
    const T* x;
    T* y;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("store_far");
};

}  // namespace stair::kernels
