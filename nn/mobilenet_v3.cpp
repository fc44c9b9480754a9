#include "nn/mobilenet_v3.h"

#include <span>

#include "autograd/ops/add.h"
#include "autograd/ops/mul.h"
#include "nn/blocks.h"
#include "nn/init.h"
#include "nn/layers/activation.h"
#include "nn/layers/batch_norm2d.h"
#include "nn/layers/dropout.h"
#include "nn/layers/linear.h"
#include "nn/layers/pool.h"
#include "nn/mobilenet.h"

namespace stair::nn {
namespace {

using Parts = std::vector<std::shared_ptr<Module>>;
enum class Act { none, relu, hardswish };

struct Block {
  int64_t kernel, expanded, out;
  bool squeezes;
  Act act;
  int64_t stride;
};
constexpr Act kRelu = Act::relu, kSwish = Act::hardswish;
constexpr Block kLarge[] = {
    {3, 16, 16, false, kRelu, 1},   {3, 64, 24, false, kRelu, 2},   {3, 72, 24, false, kRelu, 1},
    {5, 72, 40, true, kRelu, 2},    {5, 120, 40, true, kRelu, 1},   {5, 120, 40, true, kRelu, 1},
    {3, 240, 80, false, kSwish, 2}, {3, 200, 80, false, kSwish, 1}, {3, 184, 80, false, kSwish, 1},
    {3, 184, 80, false, kSwish, 1}, {3, 480, 112, true, kSwish, 1}, {3, 672, 112, true, kSwish, 1},
    {5, 672, 160, true, kSwish, 2}, {5, 960, 160, true, kSwish, 1}, {5, 960, 160, true, kSwish, 1}};
constexpr Block kSmall[] = {
    {3, 16, 16, true, kRelu, 2},   {3, 72, 24, false, kRelu, 2},  {3, 88, 24, false, kRelu, 1},
    {5, 96, 40, true, kSwish, 2},  {5, 240, 40, true, kSwish, 1}, {5, 240, 40, true, kSwish, 1},
    {5, 120, 48, true, kSwish, 1}, {5, 144, 48, true, kSwish, 1}, {5, 288, 96, true, kSwish, 2},
    {5, 576, 96, true, kSwish, 1}, {5, 576, 96, true, kSwish, 1}};

// A convolution, its batch norm and the activation.
std::shared_ptr<Module> conv_bn_act(int64_t in, int64_t out, int64_t kernel, int64_t stride,
                                    int64_t groups, Act act, const ModelOptions& options,
                                    Random& random) {
  ConvConfig config = square_window(kernel, stride, kernel / 2);
  if (options.same_upper_padding && stride == 2) {
    const int64_t before = (kernel - 2) / 2, after = (kernel - 1) / 2;
    config.options.padding = {before, before, after, after};
  }
  config.options.groups = groups;
  config.bias = false;
  Parts parts = {std::make_shared<Conv2d>(in, out, config, random),
                 std::make_shared<BatchNorm2d>(out, 0.01, 1e-3)};
  if (act == Act::relu) parts.push_back(std::make_shared<ReLU>());
  if (act == Act::hardswish) parts.push_back(std::make_shared<Hardswish>());
  return std::make_shared<Sequential>(std::move(parts));
}

// y = x * hardsigmoid(fc2(relu(fc1(mean of each channel of x))))
class SqueezeExcitation : public Module {
 public:
  SqueezeExcitation(int64_t channels, int64_t squeezed, Random& random) {
    avgpool_ = register_module("avgpool", std::make_shared<GlobalAvgPool>());
    fc1_ = register_module("fc1",
                           std::make_shared<Conv2d>(channels, squeezed, square_window(1), random));
    fc2_ = register_module("fc2",
                           std::make_shared<Conv2d>(squeezed, channels, square_window(1), random));
    activation_ = register_module("activation", std::make_shared<ReLU>());
    scale_ = register_module("scale_activation", std::make_shared<Hardsigmoid>());
  }
  Variable forward(const Variable& x) override {
    return autograd::mul(x, (*scale_)((*fc2_)((*activation_)((*fc1_)((*avgpool_)(x))))));
  }

 private:
  std::shared_ptr<Module> avgpool_, fc1_, fc2_, activation_, scale_;
};

class InvertedResidual : public Module {
 public:
  InvertedResidual(int64_t in, const Block& b, const ModelOptions& options, Random& random) {
    const auto scaled = [&](int64_t channels) {
      return make_divisible(static_cast<double>(channels) * options.width);
    };
    const int64_t hidden = scaled(b.expanded), out = scaled(b.out);
    residual_ = b.stride == 1 && in == out;
    Parts parts;
    if (hidden != in) parts.push_back(conv_bn_act(in, hidden, 1, 1, 1, b.act, options, random));
    parts.push_back(
        conv_bn_act(hidden, hidden, b.kernel, b.stride, hidden, b.act, options, random));
    if (b.squeezes)
      parts.push_back(std::make_shared<SqueezeExcitation>(
          hidden, make_divisible(static_cast<double>(hidden / 4)), random));
    parts.push_back(conv_bn_act(hidden, out, 1, 1, 1, Act::none, options, random));
    block_ = register_module("block", std::make_shared<Sequential>(std::move(parts)));
  }
  Variable forward(const Variable& x) override {
    const Variable y = (*block_)(x);
    return residual_ ? autograd::add(x, y) : y;
  }

 private:
  bool residual_;
  std::shared_ptr<Module> block_;
};

class MobileNetV3 : public PooledClassifier {
 public:
  MobileNetV3(std::span<const Block> blocks, int64_t classifier_channels,
              const ModelOptions& options, Random& random) {
    int64_t in = make_divisible(16 * options.width);
    auto features = std::make_shared<Sequential>();
    features->append(conv_bn_act(3, in, 3, 2, 1, Act::hardswish, options, random));
    for (const Block& block : blocks) {
      features->append(std::make_shared<InvertedResidual>(in, block, options, random));
      in = make_divisible(static_cast<double>(block.out) * options.width);
    }
    features->append(conv_bn_act(in, 6 * in, 1, 1, 1, Act::hardswish, options, random));
    const int64_t hidden = make_divisible(static_cast<double>(classifier_channels) * options.width);
    const int64_t classes = options.num_classes.value_or(1000);
    auto first = std::make_shared<Linear>(6 * in, hidden, true, random),
         second = std::make_shared<Linear>(hidden, classes, true, random);
    register_parts(features,
                   std::make_shared<Sequential>(
                       Parts{first, std::make_shared<Hardswish>(),
                             std::make_shared<Dropout>(options.dropout.value_or(0.2)), second}));

    kaiming_normal_convolutions(*this, true, random);
    for (const auto& [path, part] : named_modules())
      if (const auto* conv = dynamic_cast<const Conv2d*>(part); conv && conv->bias().defined())
        constant(conv->bias().value(), 0);
    for (const auto& linear : {first, second}) {
      normal(linear->weight().value(), 0.01, random);
      constant(linear->bias().value(), 0);
    }
  }
};

}  // namespace

std::shared_ptr<Module> make_mobilenet_v3_large(const ModelOptions& options) {
  check_options("mobilenet_v3_large", options);
  Random random(options.seed);
  return std::make_shared<MobileNetV3>(kLarge, 1280, options, random);
}

std::shared_ptr<Module> make_mobilenet_v3_small(const ModelOptions& options) {
  check_options("mobilenet_v3_small", options);
  Random random(options.seed);
  return std::make_shared<MobileNetV3>(kSmall, 1024, options, random);
}

}  // namespace stair::nn
