#include "autograd/ops/sub.h"

#include "autograd/broadcast.h"
#include "autograd/op.h"

namespace stair::autograd {
namespace {

using kernels::BinaryFn;

Variable apply(std::span<const Variable> in, const Attributes&) {
  return sub(in[0], in[1]);
}

}  // namespace

Variable sub(const Variable& a, const Variable& b) {
  const BinaryOperands in = binary_operands("sub", a, b);
  Tensor y = broadcast_binary(BinaryFn::sub, in.a, in.b, in.y);
  return record("sub", {a, b}, std::move(y),
                [a_shape = a.shape(), b_shape = b.shape(),
                 wants = std::array{a.requires_grad(), b.requires_grad()}](
                    const Tensor& gy) -> std::vector<Tensor> {
                  return {wants[0] ? sum_to(gy, a_shape) : Tensor(),
                          wants[1] ? scaled(sum_to(gy, b_shape), -1) : Tensor()};
                });
}

const OpDef op_sub{"sub", apply};

}  // namespace stair::autograd
