#include "autograd/ops/gelu.h"

#include "autograd/unary.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return gelu(in[0]);
}

}  // namespace

Variable gelu(const Variable& x) {
  return unary({.name = "gelu", .fn = kernels::UnaryFn::gelu}, x);
}

const OpDef op_gelu{"gelu", apply};

}  // namespace stair::autograd
