// The convolution layer.
#pragma once

#include <array>

#include "autograd/ops/conv2d.h"
#include "nn/module.h"

namespace stair::nn {

struct ConvConfig {
  std::array<int64_t, 2> kernel = {1, 1};
  autograd::Conv2dOptions options;
  bool bias = true;
};

// A square window with the same stride and padding in both directions.
ConvConfig square_window(int64_t kernel, int64_t stride = 1, int64_t padding = 0);

// x [N,H,W,in] -> [N,OH,OW,out]; see autograd::conv2d. Parameters: weight [out,KH,KW,in/groups],
// bias [out]. Weight and bias start uniform within 1/sqrt(fan in), torch's default.
class Conv2d : public Module {
 public:
  // Throws ConfigError when a size is not positive or the groups do not divide the channels.
  Conv2d(int64_t in, int64_t out, const ConvConfig& config,
         Random& random = autograd::default_random());
  Variable forward(const Variable& x) override;

  const Variable& weight() const { return weight_; }
  // Undefined without a bias.
  const Variable& bias() const { return bias_; }
  const autograd::Conv2dOptions& options() const { return options_; }

 private:
  autograd::Conv2dOptions options_;
  Variable weight_, bias_;
};

}  // namespace stair::nn
