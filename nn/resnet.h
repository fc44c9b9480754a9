// Residual networks for ImageNet, as torchvision names and initialises them.
#pragma once

#include <array>

#include "nn/model.h"

namespace stair::nn {

struct ResNetPlan {
  const char* name;
  std::array<int64_t, 4> blocks;  // of each stage
  bool bottleneck;  // 1x1, 3x3 (with the stride), 1x1 to four times the channels; else two 3x3
};

// x [N,H,W,3] -> logits [N,num_classes]. Convolutions start from kaiming_normal over the fan out,
// the classifier as Linear does. Dropout 0 by default. Source: He et al., "Deep Residual Learning"
// (2015), table 1; torchvision.models.resnet (stride in the 3x3).
std::shared_ptr<Module> make_resnet(const ResNetPlan& plan, const ModelOptions& options);

}  // namespace stair::nn
