#include "autograd/ops/avg_pool2d.h"

#include "autograd/op.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes& a) {
  return avg_pool2d(in[0], pool_options("avg_pool2d", a));
}

}  // namespace

Variable avg_pool2d(const Variable& x, const Pool2dOptions& options) {
  return average("avg_pool2d", x, pool_shape("avg_pool2d", x, options),
                 tracing() ? pool_attributes(options) : Attributes{});
}

const OpDef op_avg_pool2d{"avg_pool2d", apply};

}  // namespace stair::autograd
