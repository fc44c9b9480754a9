#include "nn/layers/dropout.h"

#include "autograd/ops/dropout.h"

namespace stair::nn {

Variable Dropout::forward(const Variable& x) {
  return autograd::dropout(x, p_, is_training());
}

}  // namespace stair::nn
