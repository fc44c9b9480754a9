#include "autograd/ops/mul.h"

#include "autograd/broadcast.h"
#include "autograd/op.h"
#include "autograd/operands.h"

namespace stair::autograd {
namespace {

using kernels::BinaryFn;

bool one_byte_codes(const Variable& x) {
  return x.quantized() && !x.value().qparams().per_channel() &&
         (x.dtype() == DType::u8 || x.dtype() == DType::s8);
}

// q - zero_point as real numbers, which hold them exactly.
Tensor differences(const Tensor& q) {
  QParams steps = q.qparams();
  steps.scale[0] = 1;
  return dequantize(q.with_qparams(std::move(steps)));
}

// Of two tensors of codes: the integer product, exact, times one factor.
Tensor multiply_codes(const Tensor& a, const Tensor& b, const Shape& y) {
  const float scale = a.qparams().scale[0] * b.qparams().scale[0];
  return scaled(broadcast_binary(BinaryFn::mul, differences(a), differences(b), y), scale);
}

Variable apply(std::span<const Variable> in, const Attributes&) {
  return mul(in[0], in[1]);
}

}  // namespace

Variable mul(const Variable& a, const Variable& b) {
  Tensor y;
  if (one_byte_codes(a) && one_byte_codes(b)) {
    y = multiply_codes(a.value(), b.value(), broadcast_shape("mul", a.value(), b.value()));
  } else {
    const BinaryOperands in = binary_operands("mul", a, b);
    y = broadcast_binary(BinaryFn::mul, in.a, in.b, in.y);
  }
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
