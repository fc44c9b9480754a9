#include "autograd/ops/dequantize.h"

#include "autograd/op.h"
#include "autograd/operands.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes& a) {
  if (a.has("codes") && a.get<bool>("codes")) return in[0];
  return dequantize(in[0]);
}

}  // namespace

Variable dequantize(const Variable& x) {
  return record("dequantize", {x}, real_operand("dequantize", "x", x),
                [](const Tensor& gy) { return std::vector<Tensor>{gy}; });
}

const OpDef op_dequantize{"dequantize", apply};

}  // namespace stair::autograd
