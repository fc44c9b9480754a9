#include "nn/layers/batch_norm2d.h"

namespace stair::nn {

BatchNorm2d::BatchNorm2d(int64_t channels, double momentum, double eps)
    : momentum_(momentum), eps_(eps) {
  if (channels < 1)
    throw ConfigError(str("BatchNorm2d: ", channels, " channels, expected at least 1"));
  gamma_ = register_parameter("weight", Tensor::full<float>({channels}, 1));
  beta_ = register_parameter("bias", Tensor::zeros({channels}, DType::f32));
  mean_ = register_buffer("running_mean", Tensor::zeros({channels}, DType::f32));
  var_ = register_buffer("running_var", Tensor::full<float>({channels}, 1));
  batches_ = register_buffer("num_batches_tracked", Tensor::zeros({}, DType::s64));
}

Variable BatchNorm2d::forward(const Variable& x) {
  const bool training = is_training() && !frozen_;
  const autograd::BatchNormOptions options{
      .training = training, .momentum = momentum_, .eps = eps_};
  Variable y = autograd::batch_norm(x, gamma_, beta_, mean_, var_, options);
  if (training) *batches_.value().data<int64_t>() += 1;
  return y;
}

}  // namespace stair::nn
