#include "autograd/ops/relu.h"

#include "autograd/unary.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return relu(in[0]);
}

}  // namespace

Variable relu(const Variable& x) {
  return unary({.name = "relu", .fn = kernels::UnaryFn::relu, .gradient_from_y = true}, x);
}

const OpDef op_relu{"relu", apply};

}  // namespace stair::autograd
