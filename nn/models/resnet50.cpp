#include "nn/resnet.h"

namespace stair::nn {
namespace {

constexpr ResNetPlan kPlan{"resnet50", {3, 4, 6, 3}, true};

std::shared_ptr<Module> build(const ModelOptions& options) {
  return make_resnet(kPlan, options);
}

}  // namespace

const ModelDef model_resnet50{"resnet50", "ResNet of 50 layers in bottleneck blocks, for ImageNet",
                              224, 1000, build};

}  // namespace stair::nn
