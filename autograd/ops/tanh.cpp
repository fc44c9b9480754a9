#include "autograd/ops/tanh.h"

#include "autograd/unary.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return tanh(in[0]);
}

}  // namespace

Variable tanh(const Variable& x) {
  return unary({.name = "tanh", .fn = kernels::UnaryFn::tanh}, x);
}

const OpDef op_tanh{"tanh", apply};

}  // namespace stair::autograd
