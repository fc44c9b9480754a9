#include "nn/mobilenet.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops/add.h"
#include "nn/blocks.h"
#include "nn/init.h"
#include "nn/layers/activation.h"
#include "nn/layers/batch_norm2d.h"
#include "nn/layers/dropout.h"
#include "nn/layers/linear.h"

namespace stair::nn {
namespace {

using Parts = std::vector<std::shared_ptr<Module>>;

std::shared_ptr<Module> activation(const ModelOptions& options) {
  if (options.relu6) return std::make_shared<ReLU6>();
  return std::make_shared<ReLU>();
}

// A convolution, its batch norm and the activation.
std::shared_ptr<Module> conv_bn_act(std::shared_ptr<Conv2d> conv, const ModelOptions& options) {
  const int64_t out = conv->weight().size(0);
  return std::make_shared<Sequential>(
      Parts{std::move(conv), std::make_shared<BatchNorm2d>(out), activation(options)});
}

class InvertedResidual : public Module {
 public:
  InvertedResidual(int64_t in, int64_t out, int64_t stride, int64_t expansion,
                   const ModelOptions& options, Random& random)
      : residual_(stride == 1 && in == out) {
    const int64_t hidden = in * expansion;
    Parts parts;
    if (expansion != 1) parts.push_back(conv_bn_act(conv1x1(in, hidden, 1, random), options));
    parts.push_back(conv_bn_act(
        conv3x3(hidden, hidden, stride, options.same_upper_padding, random, hidden), options));
    parts.push_back(conv1x1(hidden, out, 1, random));
    parts.push_back(std::make_shared<BatchNorm2d>(out));
    conv_ = register_module("conv", std::make_shared<Sequential>(std::move(parts)));
  }
  Variable forward(const Variable& x) override {
    const Variable y = (*conv_)(x);
    return residual_ ? autograd::add(x, y) : y;
  }

 private:
  bool residual_;
  std::shared_ptr<Module> conv_;
};

using Setting = std::vector<std::array<int64_t, 4>>;  // t, c, n, s
const Setting kPaper = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                        {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

void check_setting(const ModelOptions& options) {
  if (options.round_nearest < 1)
    throw ConfigError(
        str("mobilenet_v2: round_nearest is ", options.round_nearest, ", expected at least 1"));
  for (const auto& [t, c, n, s] : options.inverted_residual_setting)
    if (t < 1 || c < 1 || n < 1 || s < 1 || s > 2)
      throw ConfigError(str("mobilenet_v2: inverted_residual_setting has [", t, ", ", c, ", ", n,
                            ", ", s, "], expected [t, c, n, s] of at least 1, s of at most 2"));
}

class MobileNetV2 : public PooledClassifier {
 public:
  MobileNetV2(const ModelOptions& options, Random& random) {
    const auto channels = [&](double count) {
      return make_divisible(count, options.round_nearest);
    };
    int64_t in = channels(32 * options.width);
    const int64_t last = channels(1280 * std::max(1.0, options.width));
    auto features = std::make_shared<Sequential>();
    features->append(conv_bn_act(conv3x3(3, in, 2, options.same_upper_padding, random), options));
    const Setting& given = options.inverted_residual_setting;
    for (const auto& [t, c, n, s] : given.empty() ? kPaper : given) {
      const int64_t out = channels(static_cast<double>(c) * options.width);
      for (int64_t i = 0; i < n; ++i) {
        features->append(
            std::make_shared<InvertedResidual>(in, out, i == 0 ? s : 1, t, options, random));
        in = out;
      }
    }
    features->append(conv_bn_act(conv1x1(in, last, 1, random), options));
    auto linear = std::make_shared<Linear>(last, options.num_classes.value_or(1000), true, random);
    auto dropout = std::make_shared<Dropout>(options.dropout.value_or(0.2));
    register_parts(features, std::make_shared<Sequential>(Parts{dropout, linear}));

    kaiming_normal_convolutions(*this, true, random);
    normal(linear->weight().value(), 0.01, random);
    constant(linear->bias().value(), 0);
  }
};

}  // namespace

int64_t make_divisible(double channels, int64_t divisor) {
  const double d = static_cast<double>(divisor);
  const int64_t rounded =
      std::max(divisor, static_cast<int64_t>(std::floor((channels + d / 2) / d)) * divisor);
  return static_cast<double>(rounded) < 0.9 * channels ? rounded + divisor : rounded;
}

std::shared_ptr<Module> make_mobilenet_v2(const ModelOptions& options) {
  check_options("mobilenet_v2", options);
  check_setting(options);
  Random random(options.seed);
  return std::make_shared<MobileNetV2>(options, random);
}

}  // namespace stair::nn
