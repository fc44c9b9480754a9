#include "autograd/ops/hardswish.h"

#include "autograd/unary.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return hardswish(in[0]);
}

}  // namespace

Variable hardswish(const Variable& x) {
  return unary({.name = "hardswish", .fn = kernels::UnaryFn::hardswish}, x);
}

const OpDef op_hardswish{"hardswish", apply};

}  // namespace stair::autograd
