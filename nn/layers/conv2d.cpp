#include "nn/layers/conv2d.h"

#include <cmath>

#include "nn/init.h"

namespace stair::nn {
namespace {

void check(int64_t in, int64_t out, const ConvConfig& c) {
  const int64_t groups = c.options.groups;
  if (in < 1 || out < 1 || c.kernel[0] < 1 || c.kernel[1] < 1)
    throw ConfigError(str("Conv2d: ", in, " to ", out, " channels with a window of ", c.kernel[0],
                          "x", c.kernel[1], ", expected at least 1 each"));
  if (groups < 1 || in % groups != 0 || out % groups != 0)
    throw ConfigError(str("Conv2d: groups ", groups, " do not divide ", in, " input and ", out,
                          " output channels"));
}

}  // namespace

ConvConfig square_window(int64_t kernel, int64_t stride, int64_t padding) {
  ConvConfig c;
  c.kernel = {kernel, kernel};
  c.options.stride = {stride, stride};
  c.options.padding = {padding, padding, padding, padding};
  return c;
}

Conv2d::Conv2d(int64_t in, int64_t out, const ConvConfig& config, Random& random)
    : options_(config.options) {
  check(in, out, config);
  const Shape shape{out, config.kernel[0], config.kernel[1], in / options_.groups};
  const double bound = 1 / std::sqrt(static_cast<double>(fan_of(shape, Fan::in)));
  weight_ = register_parameter("weight", Tensor::empty(shape, DType::f32));
  uniform(weight_.value(), bound, random);
  if (!config.bias) return;
  bias_ = register_parameter("bias", Tensor::empty({out}, DType::f32));
  uniform(bias_.value(), bound, random);
}

Variable Conv2d::forward(const Variable& x) {
  return autograd::conv2d(x, weight_, bias_, options_);
}

}  // namespace stair::nn
