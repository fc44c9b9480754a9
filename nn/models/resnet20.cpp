#include "nn/cifar_resnet.h"

namespace stair::nn {
namespace {

std::shared_ptr<Module> build(const ModelOptions& options) {
  return make_cifar_resnet("resnet20", 3, options);
}

}  // namespace

const ModelDef model_resnet20{
    "resnet20", "ResNet of 20 layers with parameterless shortcuts, for CIFAR", 32, 10, build};

}  // namespace stair::nn
