// The dropout layer.
#pragma once

#include "nn/module.h"

namespace stair::nn {

// In training mode zeroes each element with probability p and divides the others by 1 - p; see
// autograd::dropout. Otherwise y = x.
class Dropout : public Module {
 public:
  explicit Dropout(double p) : p_(p) {}
  Variable forward(const Variable& x) override;
  double p() const { return p_; }

 private:
  double p_;
};

}  // namespace stair::nn
