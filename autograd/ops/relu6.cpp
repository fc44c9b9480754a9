#include "autograd/ops/relu6.h"

#include "autograd/unary.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return relu6(in[0]);
}

}  // namespace

Variable relu6(const Variable& x) {
  return unary({.name = "relu6", .fn = kernels::UnaryFn::relu6, .gradient_from_y = true}, x);
}

const OpDef op_relu6{"relu6", apply};

}  // namespace stair::autograd
