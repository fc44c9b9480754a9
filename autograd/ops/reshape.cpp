#include "autograd/ops/reshape.h"

#include <algorithm>

#include "autograd/op.h"
#include "autograd/operands.h"

namespace stair::autograd {
namespace {

// `shape` with its -1, if any, replaced.
Shape resolve(const Variable& x, const Shape& shape) {
  const auto refuse = [&](const char* rule) {
    throw ShapeError(str("reshape: ", rule, "; got x ", x.value(), ", shape ", shape));
  };
  std::vector<int64_t> dims = shape.dims();
  const auto open = std::find(dims.begin(), dims.end(), -1);
  if (open != dims.end()) {
    *open = 1;
    const int64_t others = Shape(dims).numel();
    if (others <= 0 || x.shape().numel() % others != 0)
      refuse("the other dimensions leave no whole size for -1");
    *open = x.shape().numel() / others;
  }
  for (int64_t d : dims)
    if (d < 0) refuse("one dimension may be -1, no other may be negative");
  if (Shape(dims).numel() != x.shape().numel()) refuse("the counts of elements differ");
  return Shape(std::move(dims));
}

Variable apply(std::span<const Variable> in, const Attributes& a) {
  return reshape(in[0], Shape(a.get<std::vector<int64_t>>("shape")));
}

}  // namespace

Variable reshape(const Variable& x, const Shape& shape) {
  return record(
      "reshape", {x}, per_tensor_operand(x).reshape(resolve(x, shape)),
      [from = x.shape()](const Tensor& gy) { return std::vector<Tensor>{gy.reshape(from)}; },
      tracing() ? Attributes{{"shape", shape.dims()}} : Attributes{});
}

const OpDef op_reshape{"reshape", apply};

}  // namespace stair::autograd
