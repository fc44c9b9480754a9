// Residual networks for CIFAR pictures of 32x32 pixels.
#pragma once

#include "nn/model.h"

namespace stair::nn {

// x [N,H,W,3] -> logits [N,num_classes]. 6n+2 layers: a 3x3 convolution to 16 channels, three
// stages of n blocks (16, 32, 64 channels), global average, linear. Where a stage begins with
// stride 2, the shortcut takes every second pixel and adds channels of zeros, as many before as
// after (option A: no parameters). Convolutions and classifier start from kaiming_normal over the
// fan in. Dropout 0 by default. Source: He et al., "Deep Residual Learning" (2015), 4.2; names of
// akamaster/pytorch_resnet_cifar10.
std::shared_ptr<Module> make_cifar_resnet(const char* name, int64_t blocks,
                                          const ModelOptions& options);

}  // namespace stair::nn
