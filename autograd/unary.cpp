#include "autograd/unary.h"

#include "autograd/operands.h"

namespace stair::autograd {

Variable unary(const UnaryOp& op, const Variable& x, const Attributes& attributes) {
  const Tensor xv = real_operand(op.name, "x", x);
  Tensor y = Tensor::empty(xv.shape(), xv.dtype());
  with_real(xv.dtype(), op.name, [&]<class T>() {
    kernels::run<kernels::Unary<T>>({op.fn, xv.numel(), xv.data<T>(), y.data<T>(),
                                     static_cast<T>(op.alpha), static_cast<T>(op.beta)});
  });
  return record(
      op.name, {x}, y,
      [op, kept = op.gradient_from_y ? y : x.value()](const Tensor& gy) -> std::vector<Tensor> {
        const Tensor at = dequantize(kept);
        Tensor gx = Tensor::empty(at.shape(), at.dtype());
        with_real(at.dtype(), op.name, [&]<class T>() {
          kernels::run<kernels::UnaryBackward<T>>({op.fn, at.numel(), at.data<T>(), gy.data<T>(),
                                                   gx.data<T>(), static_cast<T>(op.alpha),
                                                   static_cast<T>(op.beta)});
        });
        return {gx};
      },
      attributes);
}

}  // namespace stair::autograd
