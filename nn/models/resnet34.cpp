#include "nn/resnet.h"

namespace stair::nn {
namespace {

constexpr ResNetPlan kPlan{"resnet34", {3, 4, 6, 3}, false};

std::shared_ptr<Module> build(const ModelOptions& options) {
  return make_resnet(kPlan, options);
}

}  // namespace

const ModelDef model_resnet34{"resnet34", "ResNet of 34 layers in basic blocks, for ImageNet", 224,
                              1000, build};

}  // namespace stair::nn
