#include "qat/ptq/adaround.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/dequantize.h"
#include "core/parallel.h"
#include "core/storage.h"
#include "qat/convert.h"
#include "qat/int8/session.h"
#include "tests/qat/ptq/small_model.h"
#include "tests/support/sanitizers.h"

namespace stair::qat {
namespace {

AdaRoundOptions short_run() {
  AdaRoundOptions options;
  options.iterations = support::kSanitized ? 20 : 100;
  options.cache_bytes = 1 << 19;
  return options;
}

// A network of its own with weights of 4 bits, calibrated.
class Crude : public nn::GraphModule {
 public:
  explicit Crude(const nn::Graph& folded)
      : nn::GraphModule(prepare_qat(folded.deep_copy(), four_bits("x86")).graph) {
    calibrate(*this, batches_of(2));
  }
};

class AdaRoundOfSlow : public testing::TestWithParam<const char*> {};

// MobileNetV2 has depthwise layers and ReLU6, ResNet strides, padding and sums.
TEST_P(AdaRoundOfSlow, BringsTheOutputsOfEveryLayerNearer) {
  const nn::Graph folded = fold_batch_norm(small_model(true, GetParam()));
  nn::GraphModule reference(folded);
  Crude chosen(folded);
  const auto report = adaround(chosen, reference, batches_of(1), short_run());
  EXPECT_EQ(report.size(), weighted_nodes(folded).size());
  int64_t turned = 0;
  double before = 0, after = 0;
  for (const AdaRoundLayer& layer : report) {
    EXPECT_LE(layer.error, layer.nearest_error) << layer.name;
    before += layer.nearest_error, after += layer.error;
    turned += layer.turned;
  }
  EXPECT_GT(turned, 0);
  EXPECT_LT(after, 0.8 * before);
}
INSTANTIATE_TEST_SUITE_P(Models, AdaRoundOfSlow, testing::Values("mobilenet_v2", "resnet20"));

TEST(AdaRoundSlow, ASmallNetworkGainsOnPicturesItWasNotCalibratedOn) {
  const nn::Graph folded = fold_batch_norm(small_model(false, "resnet20"));
  nn::GraphModule reference(folded);
  Crude nearest(folded), chosen(folded);
  AdaRoundOptions options = short_run();
  options.iterations = 300;
  (void)adaround(chosen, reference, batches_of(4), options);
  const Tensor x = pictures(16, 7), expected = outputs_of(reference, x);
  EXPECT_LT(distance(outputs_of(chosen, x), expected),
            0.85 * distance(outputs_of(nearest, x), expected));
}

// Whatever learned, a weight goes to one of the two steps next to it.
TEST(AdaRound, EveryWeightGoesUpOrDownByLessThanAStep) {
  const nn::Graph folded = fold_batch_norm(small_model(false, "resnet20"));
  nn::GraphModule reference(folded);
  Crude chosen(folded);
  (void)adaround(chosen, reference, batches_of(1), short_run());
  for (const nn::Node& node : chosen.graph().nodes()) {
    const auto* conv = dynamic_cast<const QatConv*>(node.module.get());
    if (conv == nullptr) continue;
    const nn::Node& weight = chosen.graph().node(node.inputs[1]);
    const Tensor w = weight.variable.value(), before = folded.find(weight.name)->variable.value();
    const QParams p = conv->weight_quantizer().qparams(w);
    const int64_t inner = w.numel() / w.size(0);
    for (int64_t i = 0; i < w.numel(); ++i) {
      const float scale = p.scale[static_cast<size_t>(i / inner)];
      const float code = w.data<float>()[i] / scale;
      ASSERT_NEAR(code, std::nearbyint(code), 1e-4) << node.name;
      const bool clipped = std::nearbyint(code) == static_cast<float>(p.qmax);
      ASSERT_LT(std::abs(w.data<float>()[i] - before.data<float>()[i]) / scale,
                clipped ? 1.51 : 1.001)
          << node.name;
    }
  }
}

TEST(AdaRoundSlow, TheRegularizerSettlesNearlyAllWeights) {
  const nn::Graph folded = fold_batch_norm(small_model(false, "resnet20"));
  nn::GraphModule reference(folded);
  Crude chosen(folded);
  AdaRoundOptions options = short_run();
  options.iterations = 300;
  int64_t weights = 0;
  double settled = 0;
  for (const AdaRoundLayer& layer : adaround(chosen, reference, batches_of(2), options)) {
    weights += layer.weights;
    settled += layer.settled * static_cast<double>(layer.weights);
  }
  EXPECT_GT(settled, 0.97 * static_cast<double>(weights));
}

TEST(AdaRoundExact, WhatShipsAreTheIntegersThatWereChosen) {
  const nn::Graph folded = fold_batch_norm(small_model(true));
  nn::GraphModule reference(folded);
  Crude chosen(folded);
  AdaRoundOptions options = short_run();
  options.iterations = 10;
  (void)adaround(chosen, reference, batches_of(1), options);
  const Tensor x = pictures(3, 3), expected = outputs_of(chosen, x);
  EXPECT_EQ(distance(expected, Int8Session(convert(chosen.graph())).run(x)), 0);
}

TEST(AdaRoundExact, AnyNumberOfThreadsGivesTheSameWeights) {
  const nn::Graph folded = fold_batch_norm(small_model(false, "resnet20"));
  const Tensor x = pictures(2, 3);
  const int before = num_threads();
  Tensor first;
  for (int threads : {1, 3}) {
    set_num_threads(threads);
    nn::GraphModule reference(folded);
    Crude chosen(folded);
    (void)adaround(chosen, reference, batches_of(1), short_run());
    const Tensor y = outputs_of(chosen, x);
    if (threads > 1) {
      EXPECT_EQ(distance(first, y), 0);
    }
    first = y;
  }
  set_num_threads(before);
}

TEST(AdaRoundSlow, KeepsNoMoreRowsThanItsCacheHolds) {
  const nn::Graph folded = fold_batch_norm(small_model(false, "resnet20"));
  AdaRoundOptions options = short_run();
  options.iterations = 1;
  int64_t rows[2];
  for (int run = 0; run < 2; ++run) {
    nn::GraphModule reference(folded);
    Crude chosen(folded);
    rows[run] = 0;
    for (const AdaRoundLayer& layer :
         adaround(chosen, reference, batches_of(run == 0 ? 1 : 12), options)) {
      const nn::Node* node = chosen.graph().find(layer.name);
      const Shape& w = chosen.graph().node(node->inputs[1]).shape;
      const int64_t floats = layer.rows * (layer.weights / w[0] + w[0]);
      EXPECT_LE(floats * 4, options.cache_bytes) << layer.name;
      rows[run] += layer.rows;
    }
  }
  EXPECT_GT(rows[1], rows[0]);
}

TEST(AdaRoundFault, WhatCannotBeRoundedIsNamed) {
  const auto expect_refused = [](const nn::Graph& graph, const QuantizationConfig& config,
                                 int64_t batches, const std::string& what) {
    nn::GraphModule reference(graph), model(prepare_qat(graph.deep_copy(), config).graph);
    calibrate(model, batches_of(1));
    try {
      (void)adaround(model, reference, batches_of(batches), short_run());
      FAIL() << what;
    } catch (const ConfigError& error) {
      EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
    }
  };
  expect_refused(small_model(), four_bits("x86"), 1, "'features.0.0' has a batch norm");
  expect_refused(fold_batch_norm(small_model()), four_bits("x86"), 0, "no pictures");
  QuantizationConfig config = four_bits("x86");
  config.weight.quantizer = "dorefa";
  expect_refused(fold_batch_norm(small_model()), config, 1, "'dorefa' of 'features.0.0'");
}

}  // namespace
}  // namespace stair::qat
