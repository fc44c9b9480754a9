#include "autograd/ops/clamp.h"

#include "autograd/unary.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes& a) {
  return clamp(in[0], a.get<double>("lo"), a.get<double>("hi"));
}

}  // namespace

Variable clamp(const Variable& x, double lo, double hi) {
  if (!(lo <= hi)) throw ConfigError(str("clamp: lo ", lo, " and hi ", hi, ", expected lo <= hi"));
  const UnaryOp op{.name = "clamp",
                   .fn = kernels::UnaryFn::clamp,
                   .alpha = lo,
                   .beta = hi,
                   .gradient_from_y = true,
                   .ends_outside = true};
  return unary(op, x, tracing() ? Attributes{{"lo", lo}, {"hi", hi}} : Attributes{});
}

const OpDef op_clamp{"clamp", apply};

}  // namespace stair::autograd
