#include "autograd/ops/mse_loss.h"

#include "autograd/broadcast.h"
#include "autograd/op.h"
#include "autograd/operands.h"
#include "autograd/sum_all.h"
#include "kernels/reduce/reduce.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return mse_loss(in[0], in[1]);
}

}  // namespace

Variable mse_loss(const Variable& x, const Variable& t) {
  const Tensor xv = real_operand("mse_loss", "x", x), tv = real_operand("mse_loss", "t", t);
  if (xv.shape() != tv.shape() || xv.numel() == 0)
    throw ShapeError(str("mse_loss: x and t need one shape with elements; got x ", xv, ", t ", tv));
  if (xv.dtype() != tv.dtype())
    throw DTypeError(str("mse_loss: x and t differ in element type; got x ", xv, ", t ", tv));
  const Tensor difference = broadcast_binary(kernels::BinaryFn::sub, xv, tv, xv.shape());
  Tensor y = Tensor::empty({}, xv.dtype());
  with_real(xv.dtype(), "mse_loss", [&]<class T>() {
    const T* d = difference.data<T>();
    kernels::run<kernels::DotChannels<T>>({{1, 1, xv.numel()}, d, d, y.data<T>()});
    *y.data<T>() /= static_cast<T>(xv.numel());
  });
  return record("mse_loss", {x, t}, std::move(y),
                [difference, wants = std::array{x.requires_grad(), t.requires_grad()}](
                    const Tensor& gy) -> std::vector<Tensor> {
                  const double factor = 2 * scalar_of(gy) / static_cast<double>(difference.numel());
                  return {wants[0] ? scaled(difference, factor) : Tensor(),
                          wants[1] ? scaled(difference, -factor) : Tensor()};
                });
}

const OpDef op_mse_loss{"mse_loss", apply};

}  // namespace stair::autograd
