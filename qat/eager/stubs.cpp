#include "qat/eager/stubs.h"

#include "autograd/ops/add.h"
#include "autograd/ops/concat.h"
#include "autograd/ops/dequantize.h"
#include "autograd/ops/mul.h"
#include "autograd/ops/quant_stub.h"
#include "autograd/ops/relu.h"

namespace stair::qat {

Variable QuantStub::forward(const Variable& x) {
  return autograd::quant_stub(x);
}

Variable DeQuantStub::forward(const Variable& x) {
  return autograd::dequantize(x);
}

Variable FloatFunctional::add(const Variable& a, const Variable& b) {
  const nn::PathScope scope(name());
  return autograd::add(a, b);
}

Variable FloatFunctional::add_relu(const Variable& a, const Variable& b) {
  const nn::PathScope scope(name());
  return autograd::relu(autograd::add(a, b));
}

Variable FloatFunctional::mul(const Variable& a, const Variable& b) {
  const nn::PathScope scope(name());
  return autograd::mul(a, b);
}

Variable FloatFunctional::cat(const std::vector<Variable>& xs, int axis) {
  const nn::PathScope scope(name());
  return autograd::concat(xs, axis);
}

Variable FloatFunctional::forward(const Variable&) {
  throw ConfigError("FloatFunctional: it has no forward", "call add, add_relu, mul or cat");
}

}  // namespace stair::qat
