#include "qat/insight/layer_health.h"

#include <gtest/gtest.h>

#include <cmath>

#include "qat/engine_quantizer.h"
#include "qat/prepare.h"
#include "qat/ptq/calibrate.h"
#include "qat/weighted_layers.h"
#include "tests/qat/ptq/small_model.h"

namespace stair::qat {
namespace {

nn::Graph calibrated(const EngineQuantizer& quantizer) {
  nn::GraphModule model(prepare_qat(small_model(true), quantizer).graph);
  calibrate(model, batches_of(2));
  return model.graph();
}

TEST(LayerHealth, PicturesOutsideTheRangesSaturate) {
  EngineQuantizer quantizer{QuantizationConfig()};
  nn::GraphModule model(calibrated(quantizer.exclude("features.3")));
  const Tensor x = pictures(2, 1), loud = x.clone();
  for (int64_t i = 0; i < loud.numel(); ++i) loud.data<float>()[i] *= 8;
  const auto quiet = layer_health(model, x), cut = layer_health(model, loud);
  EXPECT_LT(quiet.at("input").saturation, 0.02);
  EXPECT_GT(cut.at("input").saturation, 0.4);
  EXPECT_EQ(cut.at("input").scale, quiet.at("input").scale);
  EXPECT_EQ(quiet.at("input").weight_scale, 0);
  EXPECT_FALSE(quiet.contains("features.3.conv.0.0"));
  // The extremes of each channel are at an end of its range.
  EXPECT_GT(quiet.at("features.0.0").weight_saturation, 1.0 / 27 / 2);
}

TEST(LayerHealth, WeightScalesAreGeometricMeans) {
  nn::GraphModule model(calibrated(EngineQuantizer(QuantizationConfig())));
  const Tensor x = pictures(2, 1);
  const double before = layer_health(model, x).at("features.0.0").weight_scale;
  enable_observers(model, true);
  for (const WeightedLayer& layer : weighted_layers(model))
    if (layer.name == "features.0.0") {
      const Tensor& w = layer.inputs[1].value();
      for (int64_t i = 0; i < w.numel() / 2; ++i) w.data<float>()[i] *= 16;
    }
  EXPECT_NEAR(layer_health(model, x).at("features.0.0").weight_scale, 4 * before, 1e-5 * before);
}

}  // namespace
}  // namespace stair::qat
