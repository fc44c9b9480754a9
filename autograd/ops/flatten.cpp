#include "autograd/ops/flatten.h"

#include "autograd/op.h"
#include "autograd/operands.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return flatten(in[0]);
}

}  // namespace

Variable flatten(const Variable& x) {
  if (x.shape().rank() < 1)
    throw ShapeError(str("flatten: x needs at least 1 dimension; got x ", x.value()));
  int64_t rest = 1;
  for (int i = 1; i < x.shape().rank(); ++i) rest *= x.size(i);
  return record(
      "flatten", {x}, per_tensor_operand(x).reshape({x.size(0), rest}),
      [shape = x.shape()](const Tensor& gy) { return std::vector<Tensor>{gy.reshape(shape)}; });
}

const OpDef op_flatten{"flatten", apply};

}  // namespace stair::autograd
