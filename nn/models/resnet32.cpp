#include "nn/cifar_resnet.h"

namespace stair::nn {
namespace {

std::shared_ptr<Module> build(const ModelOptions& options) {
  return make_cifar_resnet("resnet32", 5, options);
}

}  // namespace

const ModelDef model_resnet32{
    "resnet32", "ResNet of 32 layers with parameterless shortcuts, for CIFAR", 32, 10, build};

}  // namespace stair::nn
