#include "autograd/ops/global_avg_pool.h"

#include "autograd/op.h"
#include "autograd/pool2d.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes&) {
  return global_avg_pool(in[0]);
}

}  // namespace

Variable global_avg_pool(const Variable& x) {
  if (x.shape().rank() != 4 || x.size(1) < 1 || x.size(2) < 1)
    throw ShapeError(str("global_avg_pool: x needs 4 dimensions and at least one pixel; got x ",
                         x.value(), " [N,H,W,C]"));
  Pool2dOptions whole;
  whole.kernel = whole.stride = {x.size(1), x.size(2)};
  return average("global_avg_pool", x, pool_shape("global_avg_pool", x, whole), {});
}

const OpDef op_global_avg_pool{"global_avg_pool", apply};

}  // namespace stair::autograd
