#include "autograd/ops/add.h"

#include "autograd/broadcast.h"
#include "autograd/op.h"

namespace stair::autograd {
namespace {

using kernels::BinaryFn;

Variable apply(std::span<const Variable> in, const Attributes&) {
  return add(in[0], in[1]);
}

}  // namespace

Variable add(const Variable& a, const Variable& b) {
  const BinaryOperands in = binary_operands("add", a, b);
  Tensor y = broadcast_binary(BinaryFn::add, in.a, in.b, in.y);
  return record("add", {a, b}, std::move(y),
                [a_shape = a.shape(), b_shape = b.shape(),
                 wants = std::array{a.requires_grad(), b.requires_grad()}](
                    const Tensor& gy) -> std::vector<Tensor> {
                  return {wants[0] ? sum_to(gy, a_shape) : Tensor(),
                          wants[1] ? sum_to(gy, b_shape) : Tensor()};
                });
}

const OpDef op_add{"add", apply};

}  // namespace stair::autograd
