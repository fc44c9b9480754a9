#include "autograd/ops/add.h"

#include "autograd/broadcast.h"
#include "autograd/op.h"
#include "kernels/qelementwise/qelementwise.h"

namespace stair::autograd {
namespace {

using kernels::BinaryFn;

Variable apply(std::span<const Variable> in, const Attributes&) {
  return add(in[0], in[1]);
}

bool bytes_of_one_scale(const Variable& x) {
  return x.quantized() && x.dtype() != DType::s32 && !x.value().qparams().per_channel() &&
         x.shape().numel() > 0 && x.shape().rank() > 0;
}

kernels::CodeInput codes_from(const Tensor& q, int64_t first) {
  const QParams& p = q.qparams();
  return {q.raw() + first, q.dtype() == DType::s8, p.scale[0], p.zero_point[0]};
}

// Sums of codes are real numbers, four times as large: they are made where they are read.
Deferred sum_of_codes(const Tensor& a, const Tensor& b) {
  const int64_t channels = a.shape()[a.shape().rank() - 1];
  return Deferred(a.shape(), [a, b, channels](int64_t begin, int64_t end, float* into) {
    kernels::run<kernels::AddCodes>({(end - begin) * channels, codes_from(a, begin * channels),
                                     codes_from(b, begin * channels), into});
  });
}

Deferred sum(const Variable& a, const Variable& b) {
  if (bytes_of_one_scale(a) && bytes_of_one_scale(b) && a.shape() == b.shape())
    return sum_of_codes(a.value(), b.value());
  const BinaryOperands in = binary_operands("add", a, b);
  return broadcast_binary(BinaryFn::add, in.a, in.b, in.y);
}

}  // namespace

Variable add(const Variable& a, const Variable& b) {
  return record("add", {a, b}, sum(a, b),
                [a_shape = a.shape(), b_shape = b.shape(),
                 wants = std::array{a.requires_grad(), b.requires_grad()}](
                    const Tensor& gy) -> std::vector<Tensor> {
                  return {wants[0] ? sum_to(gy, a_shape) : Tensor(),
                          wants[1] ? sum_to(gy, b_shape) : Tensor()};
                });
}

const OpDef op_add{"add", apply};

}  // namespace stair::autograd
