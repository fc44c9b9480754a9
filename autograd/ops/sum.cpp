#include "autograd/ops/sum.h"

#include "autograd/op.h"
#include "autograd/operands.h"
#include "autograd/sum_all.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return sum(in[0]);
}

}  // namespace

Variable sum(const Variable& x) {
  const Tensor xv = real_operand("sum", "x", x);
  return record("sum", {x}, sum_all(xv), [shape = x.shape(), dtype = xv.dtype()](const Tensor& gy) {
    return std::vector<Tensor>{filled(shape, dtype, scalar_of(gy))};
  });
}

const OpDef op_sum{"sum", apply};

}  // namespace stair::autograd
