#include "autograd/sum_all.h"

#include "autograd/op.h"
#include "core/parallel.h"
#include "kernels/reduce/reduce.h"

namespace stair::autograd {

Tensor sum_all(const Tensor& x, double factor) {
  Tensor sum = Tensor::zeros({}, x.dtype());
  with_real(x.dtype(), "sum", [&]<class T>() {
    T* to = sum.data<T>();
    if (x.numel() > 0) kernels::run<kernels::SumChannels<T>>({{1, 1, x.numel()}, x.data<T>(), to});
    *to = static_cast<T>(static_cast<double>(*to) * factor);
  });
  return sum;
}

double scalar_of(const Tensor& x) {
  return with_real(x.dtype(), "scalar",
                   [&]<class T>() { return static_cast<double>(x.item<T>()); });
}

Tensor filled(const Shape& shape, DType dtype, double value) {
  Tensor y = Tensor::empty(shape, dtype);
  with_real(dtype, "filled", [&]<class T>() {
    T* to = y.data<T>();
    parallel_for(y.numel(), 65536, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = static_cast<T>(value);
    });
  });
  return y;
}

}  // namespace stair::autograd
