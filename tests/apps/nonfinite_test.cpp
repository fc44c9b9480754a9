// NaN and infinity in training: what is named.
#include "apps/train/nonfinite.h"

#include <gtest/gtest.h>

#include <limits>

#include "apps/train/network.h"
#include "autograd/ops/cross_entropy.h"
#include "core/random.h"
#include "nn/graph/capture.h"
#include "nn/model.h"
#include "nn/weights.h"
#include "qat/prepare.h"
#include "qat/presets.h"
#include "tests/apps/child_program.h"

namespace stair::apps {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

Tensor pictures() {
  Tensor x = Tensor::empty({2, 16, 16, 3}, DType::f32);
  Random random(3);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = random.normal();
  return x;
}

nn::Graph resnet20() {
  const auto model = nn::find_model("resnet20").build({.width = 0.25, .seed = 2});
  return nn::capture(*model, autograd::Variable(pictures()));
}

float& first_of(nn::Module& model, const std::string& name) {
  for (const nn::NamedVariable& p : model.named_parameters())
    if (p.name == name) return *p.variable.value().data<float>();
  throw ConfigError("no parameter " + name);
}

void backward(nn::GraphModule& model) {
  model.train();
  autograd::Variable loss = autograd::cross_entropy(model(autograd::Variable(pictures())),
                                                    Tensor::from<int64_t>({1, 2}, {2}), {});
  loss.backward();
}

TEST(NonFinite, TheFirstLayerThatYieldsNaNIsNamed) {
  nn::GraphModule model(resnet20());
  first_of(model, "layer3.0.conv2.weight") = kInfinity;
  first_of(model, "layer2.1.conv1.weight") = kNaN;
  EXPECT_EQ(first_nonfinite(model, pictures()), "layer2.1.conv1.conv2d");
  Tensor bad = pictures();
  bad.data<float>()[5] = kNaN;
  EXPECT_EQ(first_nonfinite(model, bad), "input");
}

TEST(NonFinite, OfGradientsAloneTheLastLayersIsTheFirst) {
  nn::GraphModule model(resnet20());
  backward(model);
  EXPECT_EQ(first_nonfinite(model, pictures()), "the loss");
  for (const nn::NamedVariable& p : model.named_parameters())
    if (p.name == "layer1.0.conv1.weight" || p.name == "layer3.1.conv1.weight")
      p.variable.grad().data<float>()[7] = kInfinity;
  EXPECT_EQ(first_nonfinite(model, pictures()), "gradient of 'layer3.1.conv1.weight'");
}

TEST(NonFinite, WhatAQuantizerHidesIsFoundInTheParameters) {
  nn::GraphModule model(qat::prepare_qat(resnet20(), qat::find_preset("x86").config).graph);
  backward(model);
  first_of(model, "layer2.0.conv1.weight") = kNaN;
  EXPECT_EQ(first_nonfinite(model, pictures()), "parameter 'layer2.0.conv1.weight'");
}

TEST(NonFiniteFault, TrainingEndsWithTheNameOfTheParameter) {
  const support::TemporaryFolder folder;
  const auto model = nn::find_model("resnet20").build({.num_classes = 10, .seed = 5});
  first_of(*model, "layer2.0.conv1.weight") = kNaN;
  nn::save_weights(folder / "w.safetensors", *model);
  Flags flags = {{"--weights", folder / "w.safetensors"}, {"--allow-nonfinite", ""}};
  expect_ended(train(folder / "float", flags), 8, {"first in: layer2.0.conv1.conv2d;"});
  flags.insert({"--float-epochs", "0"});
  expect_ended(train(folder / "qat", flags), 8, {"first in: parameter 'layer2.0.conv1.weight';"});
}

}  // namespace
}  // namespace stair::apps
