#include "autograd/ops/softmax.h"

#include "autograd/op.h"
#include "autograd/softmax_rows.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return softmax(in[0]);
}

}  // namespace

Variable softmax(const Variable& x) {
  return softmax_rows("softmax", x, false);
}

const OpDef op_softmax{"softmax", apply};

}  // namespace stair::autograd
