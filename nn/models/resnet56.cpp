#include "nn/cifar_resnet.h"

namespace stair::nn {
namespace {

std::shared_ptr<Module> build(const ModelOptions& options) {
  return make_cifar_resnet("resnet56", 9, options);
}

}  // namespace

const ModelDef model_resnet56{
    "resnet56", "ResNet of 56 layers with parameterless shortcuts, for CIFAR", 32, 10, build};

}  // namespace stair::nn
