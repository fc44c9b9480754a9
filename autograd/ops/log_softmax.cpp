#include "autograd/ops/log_softmax.h"

#include "autograd/op.h"
#include "autograd/softmax_rows.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return log_softmax(in[0]);
}

}  // namespace

Variable log_softmax(const Variable& x) {
  return softmax_rows("log_softmax", x, true);
}

const OpDef op_log_softmax{"log_softmax", apply};

}  // namespace stair::autograd
