#include "nn/resnet.h"

namespace stair::nn {
namespace {

constexpr ResNetPlan kPlan{"resnet18", {2, 2, 2, 2}, false};

std::shared_ptr<Module> build(const ModelOptions& options) {
  return make_resnet(kPlan, options);
}

}  // namespace

const ModelDef model_resnet18{"resnet18", "ResNet of 18 layers in basic blocks, for ImageNet", 224,
                              1000, build};

}  // namespace stair::nn
