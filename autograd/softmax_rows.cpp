#include "autograd/softmax_rows.h"

#include <algorithm>
#include <cmath>

#include "autograd/op.h"
#include "autograd/operands.h"
#include "core/parallel.h"
#include "kernels/loss/loss.h"

namespace stair::autograd {
namespace {

constexpr int64_t kGrain = 16384;  // elements a task

template <class T>
void backward_row(bool log, int64_t classes, const T* y, const T* gy, T* gx) {
  double sum = 0;
  for (int64_t c = 0; c < classes; ++c)
    sum += static_cast<double>(gy[c]) * (log ? 1.0 : static_cast<double>(y[c]));
  const T total = static_cast<T>(sum);
  for (int64_t c = 0; c < classes; ++c)
    gx[c] = log ? gy[c] - std::exp(y[c]) * total : y[c] * (gy[c] - total);
}

Tensor backward(bool log, const Tensor& y, const Tensor& gy) {
  Tensor gx = Tensor::empty(y.shape(), y.dtype());
  const int64_t classes = y.size(-1), rows = classes == 0 ? 0 : y.numel() / classes;
  with_real(y.dtype(), "softmax", [&]<class T>() {
    parallel_for(rows, kGrain / std::max<int64_t>(1, std::min(classes, kGrain)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t r = begin; r < end; ++r)
                     backward_row(log, classes, y.data<T>() + r * classes,
                                  gy.data<T>() + r * classes, gx.data<T>() + r * classes);
                 });
  });
  return gx;
}

}  // namespace

Variable softmax_rows(const char* op, const Variable& x, bool log) {
  if (x.shape().rank() < 1)
    throw ShapeError(str(op, ": x is a scalar; got x ", x.value(), ", expected [...,C]"));
  const Tensor xv = real_operand(op, "x", x);
  Tensor y = Tensor::empty(xv.shape(), xv.dtype());
  const int64_t classes = xv.size(-1), rows = classes == 0 ? 0 : xv.numel() / classes;
  with_real(xv.dtype(), op, [&]<class T>() {
    kernels::run<kernels::Softmax<T>>({rows, classes, log, xv.data<T>(), y.data<T>()});
  });
  return record(op, {x}, y,
                [log, y](const Tensor& gy) { return std::vector<Tensor>{backward(log, y, gy)}; });
}

}  // namespace stair::autograd
