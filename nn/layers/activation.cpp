#include "nn/layers/activation.h"

#include "autograd/ops/hardsigmoid.h"
#include "autograd/ops/hardswish.h"
#include "autograd/ops/relu.h"
#include "autograd/ops/relu6.h"

namespace stair::nn {

Variable ReLU::forward(const Variable& x) {
  return autograd::relu(x);
}
Variable ReLU6::forward(const Variable& x) {
  return autograd::relu6(x);
}
Variable Hardswish::forward(const Variable& x) {
  return autograd::hardswish(x);
}
Variable Hardsigmoid::forward(const Variable& x) {
  return autograd::hardsigmoid(x);
}

}  // namespace stair::nn
