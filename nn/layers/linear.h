// The fully connected layer.
#pragma once

#include "nn/module.h"

namespace stair::nn {

// x [...,in] -> [...,out]; see autograd::linear. Parameters: weight [out,in], bias [out].
// Weight and bias start uniform within 1/sqrt(in), torch's default.
class Linear : public Module {
 public:
  // Throws ConfigError when a size is not positive.
  Linear(int64_t in, int64_t out, bool bias = true, Random& random = autograd::default_random());
  Variable forward(const Variable& x) override;

  const Variable& weight() const { return weight_; }
  // Undefined without a bias.
  const Variable& bias() const { return bias_; }

 private:
  Variable weight_, bias_;
};

}  // namespace stair::nn
