#include "autograd/ops/sigmoid.h"

#include "autograd/unary.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return sigmoid(in[0]);
}

}  // namespace

Variable sigmoid(const Variable& x) {
  return unary({.name = "sigmoid", .fn = kernels::UnaryFn::sigmoid}, x);
}

const OpDef op_sigmoid{"sigmoid", apply};

}  // namespace stair::autograd
