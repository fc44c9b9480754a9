#include "autograd/ops/bfloat16.h"

#include <bit>
#include <cmath>

#include "autograd/op.h"
#include "autograd/operands.h"
#include "core/parallel.h"

namespace stair::autograd {
namespace {

float rounded(float x) {
  if (std::isnan(x)) return x;
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t odd = (bits >> 16) & 1;
  return std::bit_cast<float>((bits + 0x7fff + odd) & 0xffff0000);
}

Variable apply(std::span<const Variable> in, const Attributes&) {
  return bfloat16(in[0]);
}

}  // namespace

Variable bfloat16(const Variable& x) {
  const Tensor real = real_operand("bfloat16", "x", x);
  Tensor y = Tensor::empty(real.shape(), DType::f32);
  parallel_for(y.numel(), 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y.data<float>()[i] = rounded(real.data<float>()[i]);
  });
  return record("bfloat16", {x}, y, [](const Tensor& gy) { return std::vector<Tensor>{gy}; });
}

const OpDef op_bfloat16{"bfloat16", apply};

}  // namespace stair::autograd
