#include "autograd/ops/div.h"

#include "autograd/broadcast.h"
#include "autograd/op.h"
#include "autograd/operands.h"

namespace stair::autograd {
namespace {

using kernels::BinaryFn;

Variable apply(std::span<const Variable> in, const Attributes&) {
  return div(in[0], in[1]);
}

}  // namespace

Variable div(const Variable& a, const Variable& b) {
  const BinaryOperands in = binary_operands("div", a, b);
  Tensor y = broadcast_binary(BinaryFn::div, in.a, in.b, in.y);
  return record(
      "div", {a, b}, std::move(y),
      [av = a.value(), bv = b.value(), wants = std::array{a.requires_grad(), b.requires_grad()}](
          const Tensor& gy) -> std::vector<Tensor> {
        Tensor ga, gb;
        const Tensor bf = dequantize(bv);
        const Tensor quotient = broadcast_binary(BinaryFn::div, gy, bf, gy.shape());
        if (wants[0]) ga = sum_to(quotient, av.shape());
        if (wants[1]) {
          const Tensor ratio = broadcast_binary(BinaryFn::div, dequantize(av), bf, gy.shape());
          gb = scaled(
              sum_to(broadcast_binary(BinaryFn::mul, quotient, ratio, gy.shape()), bv.shape()), -1);
        }
        return {ga, gb};
      });
}

const OpDef op_div{"div", apply};

}  // namespace stair::autograd
