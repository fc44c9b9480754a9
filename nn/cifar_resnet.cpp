#include "nn/cifar_resnet.h"

#include "autograd/ops/add.h"
#include "autograd/ops/max_pool2d.h"
#include "autograd/ops/pad_channels.h"
#include "autograd/ops/relu.h"
#include "nn/blocks.h"
#include "nn/init.h"
#include "nn/layers/batch_norm2d.h"
#include "nn/layers/dropout.h"
#include "nn/layers/linear.h"
#include "nn/layers/pool.h"

namespace stair::nn {
namespace {

class CifarBlock : public Module {
 public:
  CifarBlock(int64_t in, int64_t out, int64_t stride, bool same_upper, Random& random)
      : stride_(stride), added_(out - in) {
    conv1_ = register_module("conv1", conv3x3(in, out, stride, same_upper, random));
    bn1_ = register_module("bn1", std::make_shared<BatchNorm2d>(out));
    conv2_ = register_module("conv2", conv3x3(out, out, 1, same_upper, random));
    bn2_ = register_module("bn2", std::make_shared<BatchNorm2d>(out));
  }
  Variable forward(const Variable& x) override {
    Variable y = autograd::relu((*bn1_)((*conv1_)(x)));
    y = (*bn2_)((*conv2_)(y));
    return autograd::relu(autograd::add(y, shortcut(x)));
  }

 private:
  Variable shortcut(Variable x) const {
    if (stride_ != 1) x = autograd::max_pool2d(x, square_pool(1, stride_));
    return added_ == 0 ? x : autograd::pad_channels(x, added_ / 2, added_ - added_ / 2);
  }

  int64_t stride_, added_;
  std::shared_ptr<Module> conv1_, bn1_, conv2_, bn2_;
};

class CifarResNet : public Module {
 public:
  CifarResNet(int64_t blocks, const ModelOptions& options, Random& random) {
    const bool same_upper = options.same_upper_padding;
    int64_t in = scaled_channels(16, options.width);
    conv1_ = register_module("conv1", conv3x3(3, in, 1, same_upper, random));
    bn1_ = register_module("bn1", std::make_shared<BatchNorm2d>(in));
    for (size_t stage = 0; stage < 3; ++stage) {
      auto layer = std::make_shared<Sequential>();
      const int64_t out = scaled_channels(int64_t{16} << stage, options.width);
      for (int64_t i = 0; i < blocks; ++i) {
        const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
        layer->append(std::make_shared<CifarBlock>(in, out, stride, same_upper, random));
        in = out;
      }
      layers_[stage] = register_module(str("layer", stage + 1), layer);
    }
    avgpool_ = register_module("avgpool", std::make_shared<GlobalAvgPool>());
    flatten_ = register_module("flatten", std::make_shared<Flatten>());
    if (const double p = options.dropout.value_or(0); p > 0)
      dropout_ = register_module("dropout", std::make_shared<Dropout>(p));
    linear_ = register_module(
        "linear", std::make_shared<Linear>(in, options.num_classes.value_or(10), true, random));
    kaiming_normal_convolutions(*this, false, random);
    kaiming_normal(linear_->weight().value(), Fan::in, kReluGain, random);
  }

  Variable forward(const Variable& x) override {
    Variable y = autograd::relu((*bn1_)((*conv1_)(x)));
    for (const auto& layer : layers_) y = (*layer)(y);
    y = (*flatten_)((*avgpool_)(y));
    return (*linear_)(dropout_ ? (*dropout_)(y) : y);
  }

 private:
  std::shared_ptr<Module> conv1_, bn1_, avgpool_, flatten_, dropout_;
  std::shared_ptr<Linear> linear_;
  std::array<std::shared_ptr<Module>, 3> layers_;
};

}  // namespace

std::shared_ptr<Module> make_cifar_resnet(const char* name, int64_t blocks,
                                          const ModelOptions& options) {
  check_options(name, options);
  Random random(options.seed);
  return std::make_shared<CifarResNet>(blocks, options, random);
}

}  // namespace stair::nn
