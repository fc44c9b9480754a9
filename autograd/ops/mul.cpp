#include "autograd/ops/mul.h"

#include "autograd/broadcast.h"
#include "autograd/op.h"
#include "autograd/operands.h"

namespace stair::autograd {
namespace {

using kernels::BinaryFn;

Variable apply(std::span<const Variable> in, const Attributes&) {
  return mul(in[0], in[1]);
}

}  // namespace

Variable mul(const Variable& a, const Variable& b) {
  const BinaryOperands in = binary_operands("mul", a, b);
  Tensor y = broadcast_binary(BinaryFn::mul, in.a, in.b, in.y);
  return record(
      "mul", {a, b}, std::move(y),
      [av = a.value(), bv = b.value(), wants = std::array{a.requires_grad(), b.requires_grad()}](
          const Tensor& gy) -> std::vector<Tensor> {
        Tensor ga, gb;
        const auto times = [&](const Tensor& other) {
          return broadcast_binary(BinaryFn::mul, gy, dequantize(other), gy.shape());
        };
        if (wants[0]) ga = sum_to(times(bv), av.shape());
        if (wants[1]) gb = sum_to(times(av), bv.shape());
        return {ga, gb};
      });
}

const OpDef op_mul{"mul", apply};

}  // namespace stair::autograd
