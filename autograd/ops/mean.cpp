#include "autograd/ops/mean.h"

#include "autograd/op.h"
#include "autograd/operands.h"
#include "autograd/sum_all.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return mean(in[0]);
}

}  // namespace

Variable mean(const Variable& x) {
  const Tensor xv = real_operand("mean", "x", x);
  if (xv.numel() == 0) throw ShapeError(str("mean: x has no elements; got x ", xv));
  const double factor = 1 / static_cast<double>(xv.numel());
  return record("mean", {x}, sum_all(xv, factor),
                [factor, shape = x.shape(), dtype = xv.dtype()](const Tensor& gy) {
                  return std::vector<Tensor>{filled(shape, dtype, scalar_of(gy) * factor)};
                });
}

const OpDef op_mean{"mean", apply};

}  // namespace stair::autograd
