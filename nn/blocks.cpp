#include "nn/blocks.h"

#include <algorithm>
#include <cmath>

#include "nn/init.h"
#include "nn/layers/pool.h"

namespace stair::nn {

std::shared_ptr<Conv2d> conv3x3(int64_t in, int64_t out, int64_t stride, bool same_upper,
                                Random& random, int64_t groups) {
  ConvConfig config = square_window(3, stride, 1);
  if (same_upper && stride == 2) config.options.padding = {0, 0, 1, 1};
  config.options.groups = groups;
  config.bias = false;
  return std::make_shared<Conv2d>(in, out, config, random);
}

std::shared_ptr<Conv2d> conv1x1(int64_t in, int64_t out, int64_t stride, Random& random) {
  ConvConfig config = square_window(1, stride);
  config.bias = false;
  return std::make_shared<Conv2d>(in, out, config, random);
}

Variable PooledClassifier::forward(const Variable& x) {
  return (*classifier_)((*flatten_)((*avgpool_)((*features_)(x))));
}

void PooledClassifier::register_parts(std::shared_ptr<Module> features,
                                      std::shared_ptr<Module> classifier) {
  features_ = register_module("features", std::move(features));
  avgpool_ = register_module("avgpool", std::make_shared<GlobalAvgPool>());
  flatten_ = register_module("flatten", std::make_shared<Flatten>());
  classifier_ = register_module("classifier", std::move(classifier));
}

int64_t scaled_channels(int64_t channels, double width) {
  return std::max<int64_t>(1, std::llround(static_cast<double>(channels) * width));
}

void kaiming_normal_convolutions(Module& module, bool fan_out, Random& random) {
  for (const auto& [path, part] : module.named_modules())
    if (const auto* conv = dynamic_cast<const Conv2d*>(part))
      kaiming_normal(conv->weight().value(), fan_out ? Fan::out : Fan::in, kReluGain, random);
}

}  // namespace stair::nn
