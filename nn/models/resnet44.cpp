#include "nn/cifar_resnet.h"

namespace stair::nn {
namespace {

std::shared_ptr<Module> build(const ModelOptions& options) {
  return make_cifar_resnet("resnet44", 7, options);
}

}  // namespace

const ModelDef model_resnet44{
    "resnet44", "ResNet of 44 layers with parameterless shortcuts, for CIFAR", 32, 10, build};

}  // namespace stair::nn
