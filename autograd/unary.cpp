#include "autograd/unary.h"

#include <cmath>
#include <limits>

#include "autograd/operands.h"
#include "autograd/recompute.h"

namespace stair::autograd {
namespace {

// The parameters of the gradient: an open interval is the closed one between the next numbers.
template <class T>
std::pair<T, T> interval(const UnaryOp& op) {
  const T alpha = static_cast<T>(op.alpha), beta = static_cast<T>(op.beta);
  if (!op.ends_outside) return {alpha, beta};
  return {std::nextafter(alpha, std::numeric_limits<T>::infinity()),
          std::nextafter(beta, -std::numeric_limits<T>::infinity())};
}

}  // namespace

Variable unary(const UnaryOp& op, const Variable& x, const Attributes& attributes) {
  const Tensor xv = real_operand(op.name, "x", x);
  Tensor y = Tensor::empty(xv.shape(), xv.dtype());
  with_real(xv.dtype(), op.name, [&]<class T>() {
    kernels::run<kernels::Unary<T>>({op.fn, xv.numel(), xv.data<T>(), y.data<T>(),
                                     static_cast<T>(op.alpha), static_cast<T>(op.beta)});
  });
  return record(
      op.name, {x}, y,
      [op, kept = op.gradient_from_y ? Kept(Variable(y))
                                     : Kept(x)](const Tensor& gy) -> std::vector<Tensor> {
        const Tensor at = dequantize(kept.get());
        Tensor gx = Tensor::empty(at.shape(), at.dtype());
        with_real(at.dtype(), op.name, [&]<class T>() {
          const auto [alpha, beta] = interval<T>(op);
          kernels::run<kernels::UnaryBackward<T>>(
              {op.fn, at.numel(), at.data<T>(), gy.data<T>(), gx.data<T>(), alpha, beta});
        });
        return {gx};
      },
      attributes);
}

}  // namespace stair::autograd
