// What the models share: their convolutions and their classifier.
#pragma once

#include "nn/layers/conv2d.h"
#include "nn/layers/sequential.h"
#include "nn/model.h"

namespace stair::nn {

// A 3x3 convolution without bias, padded so that stride 1 keeps the size. `same_upper` as in
// ModelOptions.
std::shared_ptr<Conv2d> conv3x3(int64_t in, int64_t out, int64_t stride, bool same_upper,
                                Random& random, int64_t groups = 1);
// A 1x1 convolution without bias.
std::shared_ptr<Conv2d> conv1x1(int64_t in, int64_t out, int64_t stride, Random& random);

// classifier(mean over all positions of features(x)), registered as features, avgpool, flatten and
// classifier.
class PooledClassifier : public Module {
 public:
  Variable forward(const Variable& x) override;

 protected:
  void register_parts(std::shared_ptr<Module> features, std::shared_ptr<Module> classifier);

 private:
  std::shared_ptr<Module> features_, avgpool_, flatten_, classifier_;
};

// round(channels * width), at least 1.
int64_t scaled_channels(int64_t channels, double width);

// Draws the weights of all convolutions below `module` from kaiming_normal, in the order of
// registration.
void kaiming_normal_convolutions(Module& module, bool fan_out, Random& random);

}  // namespace stair::nn
