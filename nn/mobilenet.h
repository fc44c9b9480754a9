// MobileNetV2, as torchvision names and initialises it.
#pragma once

#include "nn/model.h"

namespace stair::nn {

// The multiple of `divisor` nearest to `channels`, at least `divisor`, and one more when that took
// away over a tenth.
int64_t make_divisible(double channels, int64_t divisor = 8);

// x [N,H,W,3] -> logits [N,num_classes]. Inverted residual blocks: 1x1 expansion, 3x3 depthwise,
// 1x1 projection without activation. Convolutions start from kaiming_normal over the fan out, the
// classifier from N(0, 0.01^2) and zero bias. Dropout 0.2 by default. Source: Sandler et al.,
// "MobileNetV2" (2018), table 2; torchvision.models.mobilenetv2.
std::shared_ptr<Module> make_mobilenet_v2(const ModelOptions& options);

}  // namespace stair::nn
