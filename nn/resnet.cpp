#include "nn/resnet.h"

#include "autograd/ops/add.h"
#include "nn/blocks.h"
#include "nn/layers/activation.h"
#include "nn/layers/batch_norm2d.h"
#include "nn/layers/dropout.h"
#include "nn/layers/linear.h"
#include "nn/layers/pool.h"

namespace stair::nn {
namespace {

struct BlockPlan {
  int64_t in, channels, out, stride;
  bool same_upper;
};

std::shared_ptr<Sequential> downsample(const BlockPlan& p, Random& random) {
  return std::make_shared<Sequential>(std::vector<std::shared_ptr<Module>>{
      conv1x1(p.in, p.out, p.stride, random), std::make_shared<BatchNorm2d>(p.out)});
}

bool needs_downsample(const BlockPlan& p) {
  return p.stride != 1 || p.in != p.out;
}

class BasicBlock : public Module {
 public:
  BasicBlock(const BlockPlan& p, Random& random) {
    conv1_ = register_module("conv1", conv3x3(p.in, p.out, p.stride, p.same_upper, random));
    bn1_ = register_module("bn1", std::make_shared<BatchNorm2d>(p.out));
    relu_ = register_module("relu", std::make_shared<ReLU>());
    conv2_ = register_module("conv2", conv3x3(p.out, p.out, 1, p.same_upper, random));
    bn2_ = register_module("bn2", std::make_shared<BatchNorm2d>(p.out));
    if (needs_downsample(p)) downsample_ = register_module("downsample", downsample(p, random));
  }
  Variable forward(const Variable& x) override {
    Variable y = (*relu_)((*bn1_)((*conv1_)(x)));
    y = (*bn2_)((*conv2_)(y));
    return (*relu_)(autograd::add(y, downsample_ ? (*downsample_)(x) : x));
  }

 private:
  std::shared_ptr<Module> conv1_, bn1_, relu_, conv2_, bn2_, downsample_;
};

class Bottleneck : public Module {
 public:
  Bottleneck(const BlockPlan& p, Random& random) {
    conv1_ = register_module("conv1", conv1x1(p.in, p.channels, 1, random));
    bn1_ = register_module("bn1", std::make_shared<BatchNorm2d>(p.channels));
    conv2_ =
        register_module("conv2", conv3x3(p.channels, p.channels, p.stride, p.same_upper, random));
    bn2_ = register_module("bn2", std::make_shared<BatchNorm2d>(p.channels));
    conv3_ = register_module("conv3", conv1x1(p.channels, p.out, 1, random));
    bn3_ = register_module("bn3", std::make_shared<BatchNorm2d>(p.out));
    relu_ = register_module("relu", std::make_shared<ReLU>());
    if (needs_downsample(p)) downsample_ = register_module("downsample", downsample(p, random));
  }
  Variable forward(const Variable& x) override {
    Variable y = (*relu_)((*bn1_)((*conv1_)(x)));
    y = (*relu_)((*bn2_)((*conv2_)(y)));
    y = (*bn3_)((*conv3_)(y));
    return (*relu_)(autograd::add(y, downsample_ ? (*downsample_)(x) : x));
  }

 private:
  std::shared_ptr<Module> conv1_, bn1_, conv2_, bn2_, conv3_, bn3_, relu_, downsample_;
};

class ResNet : public Module {
 public:
  ResNet(const ResNetPlan& plan, const ModelOptions& options, Random& random) {
    int64_t in = scaled_channels(64, options.width);
    ConvConfig stem = square_window(7, 2, 3);
    stem.bias = false;
    conv1_ = register_module("conv1", std::make_shared<Conv2d>(3, in, stem, random));
    bn1_ = register_module("bn1", std::make_shared<BatchNorm2d>(in));
    relu_ = register_module("relu", std::make_shared<ReLU>());
    maxpool_ = register_module("maxpool", std::make_shared<MaxPool2d>(square_pool(3, 2, 1)));
    for (size_t stage = 0; stage < 4; ++stage) {
      auto layer = std::make_shared<Sequential>();
      const int64_t channels = scaled_channels(int64_t{64} << stage, options.width);
      const int64_t out = plan.bottleneck ? 4 * channels : channels;
      for (int64_t i = 0; i < plan.blocks[stage]; ++i) {
        const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
        const BlockPlan block{in, channels, out, stride, options.same_upper_padding};
        if (plan.bottleneck)
          layer->append(std::make_shared<Bottleneck>(block, random));
        else
          layer->append(std::make_shared<BasicBlock>(block, random));
        in = out;
      }
      layers_[stage] = register_module(str("layer", stage + 1), layer);
    }
    avgpool_ = register_module("avgpool", std::make_shared<GlobalAvgPool>());
    flatten_ = register_module("flatten", std::make_shared<Flatten>());
    if (const double p = options.dropout.value_or(0); p > 0)
      dropout_ = register_module("dropout", std::make_shared<Dropout>(p));
    fc_ = register_module(
        "fc", std::make_shared<Linear>(in, options.num_classes.value_or(1000), true, random));
  }

  Variable forward(const Variable& x) override {
    Variable y = (*maxpool_)((*relu_)((*bn1_)((*conv1_)(x))));
    for (const auto& layer : layers_) y = (*layer)(y);
    y = (*flatten_)((*avgpool_)(y));
    return (*fc_)(dropout_ ? (*dropout_)(y) : y);
  }

 private:
  std::shared_ptr<Module> conv1_, bn1_, relu_, maxpool_, avgpool_, flatten_, dropout_, fc_;
  std::array<std::shared_ptr<Module>, 4> layers_;
};

}  // namespace

std::shared_ptr<Module> make_resnet(const ResNetPlan& plan, const ModelOptions& options) {
  check_options(plan.name, options);
  Random random(options.seed);
  auto model = std::make_shared<ResNet>(plan, options, random);
  kaiming_normal_convolutions(*model, true, random);
  return model;
}

}  // namespace stair::nn
