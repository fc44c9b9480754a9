#include "nn/layers/linear.h"

#include <cmath>

#include "autograd/ops/linear.h"
#include "nn/init.h"

namespace stair::nn {

Linear::Linear(int64_t in, int64_t out, bool bias, Random& random) {
  if (in < 1 || out < 1)
    throw ConfigError(str("Linear: ", in, " to ", out, " features, expected at least 1 each"));
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  weight_ = register_parameter("weight", Tensor::empty({out, in}, DType::f32));
  uniform(weight_.value(), bound, random);
  if (!bias) return;
  bias_ = register_parameter("bias", Tensor::empty({out}, DType::f32));
  uniform(bias_.value(), bound, random);
}

Variable Linear::forward(const Variable& x) {
  return autograd::linear(x, weight_, bias_);
}

}  // namespace stair::nn
