// MobileNetV3, as torchvision names and initialises it.
#pragma once

#include "nn/model.h"

namespace stair::nn {

// x [N,H,W,3] -> logits [N,num_classes]. Inverted residual blocks with squeeze-and-excitation,
// hardswish in the deeper ones; batch norms of eps 1e-3 and momentum 0.01. Convolutions start from
// kaiming_normal over the fan out, linear layers from N(0, 0.01^2), biases from zero. Dropout 0.2
// by default. Source: Howard et al., "Searching for MobileNetV3" (2019), tables 1 and 2;
// torchvision.models.mobilenetv3.
std::shared_ptr<Module> make_mobilenet_v3_large(const ModelOptions& options);
std::shared_ptr<Module> make_mobilenet_v3_small(const ModelOptions& options);

}  // namespace stair::nn
