#include "nn/layers/activation.h"

#include "autograd/ops/relu.h"
#include "autograd/ops/relu6.h"

namespace stair::nn {

Variable ReLU::forward(const Variable& x) {
  return autograd::relu(x);
}
Variable ReLU6::forward(const Variable& x) {
  return autograd::relu6(x);
}

}  // namespace stair::nn
