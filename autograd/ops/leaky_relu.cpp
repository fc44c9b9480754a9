#include "autograd/ops/leaky_relu.h"

#include "autograd/unary.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes& a) {
  return leaky_relu(in[0], a.get<double>("slope"));
}

}  // namespace

Variable leaky_relu(const Variable& x, double slope) {
  return unary({.name = "leaky_relu", .fn = kernels::UnaryFn::leaky_relu, .alpha = slope}, x,
               tracing() ? Attributes{{"slope", slope}} : Attributes{});
}

const OpDef op_leaky_relu{"leaky_relu", apply};

}  // namespace stair::autograd
