#include "autograd/ops/hardsigmoid.h"

#include "autograd/unary.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return hardsigmoid(in[0]);
}

}  // namespace

Variable hardsigmoid(const Variable& x) {
  return unary({.name = "hardsigmoid", .fn = kernels::UnaryFn::hardsigmoid}, x);
}

const OpDef op_hardsigmoid{"hardsigmoid", apply};

}  // namespace stair::autograd
