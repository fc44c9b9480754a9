#include "qat/oscillation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/random.h"
#include "nn/graph/capture.h"
#include "nn/model.h"
#include "qat/prepare.h"

namespace stair::qat {
namespace {

Tensor pictures() {
  Tensor x = Tensor::empty({2, 16, 16, 3}, DType::f32);
  Random random(3);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = random.normal();
  return x;
}

std::shared_ptr<nn::GraphModule> low_bit_model(int bits = 3) {
  nn::ModelOptions options;
  options.num_classes = 3;
  options.seed = 1;
  const auto model = nn::find_model("resnet20").build(options);
  auto qat = std::make_shared<nn::GraphModule>(
      prepare_qat(nn::capture(*model, Variable(pictures())), x86_config(bits, 8, "lsq")).graph);
  (void)(*qat)(Variable(pictures()));
  return qat;
}

// The weights, scale and batch-norm factor of one layer of few bits.
struct Layer {
  float* w;
  float step, factor;
};
Layer layer_of(const nn::GraphModule& model) {
  for (const nn::Node& node : model.graph().nodes()) {
    const auto* conv = dynamic_cast<const QatConv*>(node.module.get());
    if (!conv || conv->weight_quantizer().spec().bits > 4) continue;
    const auto value = [&](size_t i) {
      return model.graph().node(node.inputs[i]).variable.value().data<float>();
    };
    const float deviation = std::sqrt(*value(6) + static_cast<float>(conv->options().eps));
    return {value(1), conv->weight_quantizer().qparams().scale[0], *value(3) / deviation};
  }
  throw ConfigError("no layer of few bits");
}

// Sets the first weight so that it stands at this many steps.
void put(const Layer& layer, float steps) {
  *layer.w = steps * layer.step / layer.factor;
}

TEST(Oscillation, AWeightThatJumpsIsFrozenAtItsMeanCode) {
  const auto model = low_bit_model();
  OscillationTracker tracker(*model);
  const Layer layer = layer_of(*model);
  for (int i = 0; i < 20; ++i) {
    put(layer, i % 3 == 0 ? 0.6F : 1.4F);  // code 1 always
    tracker.step(0.05);
  }
  EXPECT_EQ(tracker.frozen(), 0);
  for (int i = 0; i < 30; ++i) {
    put(layer, i % 4 == 0 ? 0.4F : 0.6F);  // codes 0 and, mostly, 1
    tracker.step(0.05);
  }
  EXPECT_GT(tracker.frozen(), 0);
  EXPECT_GT(tracker.oscillating(), 0);
  put(layer, -3);
  tracker.step(0.05);
  EXPECT_FLOAT_EQ(*layer.w, layer.step / layer.factor);
}

TEST(Oscillation, WithoutThresholdItOnlyCounts) {
  const auto model = low_bit_model();
  OscillationTracker tracker(*model);
  const Layer layer = layer_of(*model);
  for (int i = 0; i < 30; ++i) {
    put(layer, i % 2 == 0 ? 0.4F : 0.6F);
    tracker.step(0);
  }
  EXPECT_GT(tracker.oscillating(), 0);
  EXPECT_EQ(tracker.frozen(), 0);
  const auto layers = tracker.oscillating_layers();
  EXPECT_GT(layers.at("layer1.0.conv1"), 0);
  EXPECT_EQ(layers.at("layer1.0.conv2"), 0);
  EXPECT_FALSE(layers.contains("conv1"));
}

TEST(Oscillation, EightBitsAreNotFollowed) {
  const auto model = low_bit_model(8);
  EXPECT_TRUE(OscillationTracker(*model).state().empty());
}

TEST(Oscillation, StateGoesOnWhereItStopped) {
  const auto model = low_bit_model();
  OscillationTracker whole(*model);
  const Layer layer = layer_of(*model);
  const auto run = [&](OscillationTracker& tracker, int from, int to) {
    for (int i = from; i < to; ++i) {
      put(layer, i % 2 == 0 ? 0.4F : 0.6F);
      tracker.step(0.03);
    }
  };
  run(whole, 0, 12);
  OscillationTracker second(*model);
  second.load_state(whole.state());
  EXPECT_EQ(second.oscillating(), whole.oscillating());
  run(second, 12, 24);
  EXPECT_GT(second.frozen(), 0);
  std::vector<NamedTensor> broken = whole.state();
  broken.pop_back();
  EXPECT_THROW(second.load_state(broken), FormatError);
}

TEST(OscillationGrad, DampeningPullsWeightsToTheirCodes) {
  const auto model = low_bit_model();
  const Layer layer = layer_of(*model);
  put(layer, 0.8F);
  for (const nn::NamedVariable& p : model->named_parameters())
    Variable(p.variable).set_grad(Tensor::zeros(p.variable.shape(), DType::f32));
  add_dampening_gradients(*model, 0.5);
  for (const nn::NamedVariable& p : model->named_parameters()) {
    if (p.variable.value().data<float>() != layer.w) continue;
    // 2 * 0.5 * (0.8 - 1) steps, in weights.
    EXPECT_NEAR(p.variable.grad().data<float>()[0], -0.2F * layer.step * layer.factor,
                1e-3 * std::abs(layer.step * layer.factor));
  }
}

}  // namespace
}  // namespace stair::qat
