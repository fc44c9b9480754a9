#include "autograd/ops/silu.h"

#include "autograd/unary.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return silu(in[0]);
}

}  // namespace

Variable silu(const Variable& x) {
  return unary({.name = "silu", .fn = kernels::UnaryFn::silu}, x);
}

const OpDef op_silu{"silu", apply};

}  // namespace stair::autograd
