#include "qat/ptq/sensitivity.h"

#include <gtest/gtest.h>

#include "qat/engine_quantizer.h"
#include "qat/prepare.h"
#include "qat/weighted_layers.h"
#include "tests/qat/ptq/small_model.h"

namespace stair::qat {
namespace {

nn::Graph calibrated(const nn::Graph& graph, const EngineQuantizer& quantizer) {
  nn::GraphModule model(prepare_qat(fold_batch_norm(graph), quantizer).graph);
  calibrate(model, batches_of(2));
  return model.graph();
}

// What the definition says, of a network with other quantizers switched off one by one.
double noise_of(const nn::Graph& graph, nn::GraphModule& model) {
  nn::GraphModule real(fold_batch_norm(graph));
  double noise = 0, signal = 0;
  batches_of(2)([&](const Tensor& x) {
    const Tensor y = outputs_of(model, x), r = outputs_of(real, x);
    for (int64_t i = 0; i < y.numel(); ++i) {
      const double d = static_cast<double>(y.data<float>()[i]) - r.data<float>()[i];
      noise += d * d;
      signal += static_cast<double>(r.data<float>()[i]) * r.data<float>()[i];
    }
  });
  return noise / signal;
}

TEST(Sensitivity, OneLayerAloneIsThatLayerIncluded) {
  const nn::Graph graph = small_model(true);
  EngineQuantizer quantizer{QuantizationConfig()};
  nn::GraphModule model(calibrated(graph, quantizer));
  const auto found = sensitivities(model, batches_of(2), Alone::layer);
  ASSERT_EQ(found.size(), weighted_nodes(graph).size());
  // Layers included alone also quantize what comes out of them.
  for (const size_t i : {size_t{0}, size_t{7}, found.size() - 1}) {
    EngineQuantizer alone{QuantizationConfig()};
    alone.include(found[i].layer);
    nn::GraphModule one(calibrated(graph, alone));
    for (const nn::Node& node : one.graph().nodes())
      if (auto* q = dynamic_cast<Quantizer*>(node.module.get());
          q && node.name == found[i].layer + ".output_quantizer")
        q->enable_fake_quant(false);
    EXPECT_NEAR(found[i].noise / noise_of(graph, one), 1, 0.02) << found[i].layer;
  }
}

TEST(Sensitivity, AllButOneIsThatLayerExcluded) {
  const nn::Graph graph = small_model(true);
  EngineQuantizer quantizer{QuantizationConfig()};
  nn::GraphModule model(calibrated(graph, quantizer));
  const auto found = sensitivities(model, batches_of(2), Alone::all_but_one);
  for (const size_t i : {size_t{0}, size_t{7}, found.size() - 1}) {
    EngineQuantizer without{QuantizationConfig()};
    without.exclude(found[i].layer);
    nn::GraphModule others(calibrated(graph, without));
    EXPECT_NEAR(found[i].noise / noise_of(graph, others), 1, 0.02) << found[i].layer;
  }
}

TEST(Sensitivity, FewerBitsCostMoreAndQuantizersAreOnAgain) {
  const nn::Graph graph = small_model(true);
  double before = 0;
  for (const int bits : {8, 4, 2}) {
    QuantizationConfig config = x86_config(bits);
    config.first_last_8_bits = false;
    nn::GraphModule model(calibrated(graph, EngineQuantizer(config)));
    const auto found = sensitivities(model, batches_of(1), Alone::weights);
    double sum = 0;
    for (const LayerSensitivity& layer : found) {
      sum += layer.noise;
      EXPECT_GT(layer.noise, 0) << layer.layer;
      EXPECT_LE(layer.agreement, 1);
    }
    EXPECT_GT(sum, 2 * before);
    before = sum;
    for (const WeightedLayer& layer : weighted_layers(model))
      EXPECT_TRUE(layer.conv->weight_quantizer().fake_quant_enabled());
  }
}

TEST(Sensitivity, CountsWeightsAndMultiplications) {
  const nn::Graph graph = small_model(true);
  nn::GraphModule model(calibrated(graph, EngineQuantizer(x86_config(8, 4))));
  const auto found = sensitivities(model, batches_of(1), Alone::weights);
  // 24 pixels, stride 2: 12 * 12 places of 16 channels times 27 products.
  EXPECT_EQ(found[0].weights, 16 * 27);
  EXPECT_EQ(found[0].outputs, 16);
  EXPECT_EQ(found[0].macs, 12 * 12 * 16 * 27);
  EXPECT_EQ(found[0].input_bits, 8);
  EXPECT_EQ(found[2].input_bits, 4);
  EXPECT_EQ(found.back().macs, found.back().weights);
}

}  // namespace
}  // namespace stair::qat
