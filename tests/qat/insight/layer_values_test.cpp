#include "qat/insight/layer_values.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "autograd/ops/dequantize.h"
#include "qat/convert.h"
#include "qat/engine_quantizer.h"
#include "qat/insight/difference.h"
#include "qat/prepare.h"
#include "qat/ptq/calibrate.h"
#include "tests/qat/ptq/small_model.h"

namespace stair::qat {
namespace {

std::vector<std::string> names_of(const std::vector<LayerValue>& layers) {
  std::vector<std::string> names;
  for (const LayerValue& layer : layers) names.push_back(layer.name);
  return names;
}

Difference difference(const Tensor& a, const Tensor& b) {
  Difference d;
  d.add(a, b);
  return d;
}

// One network in its three forms.
struct Forms {
  nn::GraphModule real;
  nn::GraphModule trained;
  Int8Session deployed;

  Forms(const nn::Graph& graph, const EngineQuantizer& quantizer)
      : real(graph), trained(calibrated(graph, quantizer)), deployed(convert(trained.graph())) {}

  static nn::Graph calibrated(const nn::Graph& graph, const EngineQuantizer& quantizer) {
    nn::GraphModule prepared(prepare_qat(graph.deep_copy(), quantizer).graph);
    calibrate(prepared, batches_of(2));
    return prepared.graph();
  }
};

EngineQuantizer quantizer_without(const std::vector<std::string>& excluded) {
  EngineQuantizer quantizer{QuantizationConfig()};
  for (const std::string& pattern : excluded) quantizer.exclude(pattern);
  return quantizer;
}

void expect_alike(Forms& forms, double least_sqnr, const std::string& what) {
  const Tensor x = pictures(3, 77);
  const auto real = layer_values(forms.real, x), trained = layer_values(forms.trained, x),
             deployed = layer_values(forms.deployed, x);
  ASSERT_GT(real.size(), 10U) << what;
  EXPECT_EQ(names_of(real), names_of(deployed)) << what;
  ASSERT_EQ(names_of(trained), names_of(deployed)) << what;
  for (size_t i = 0; i < real.size() && i < trained.size(); ++i) {
    const Difference exact = difference(trained[i].value, deployed[i].value);
    EXPECT_EQ(exact.largest(), 0) << what << ", " << real[i].name;
    EXPECT_EQ(exact.different(), 0) << what << ", " << real[i].name;
    EXPECT_EQ(exact.saturation_a().share(), exact.saturation_b().share()) << real[i].name;
    EXPECT_GT(difference(real[i].value, deployed[i].value).sqnr(), least_sqnr)
        << what << ", " << real[i].name;
  }
}

TEST(LayerValuesExact, TheThreeFormsHaveTheSameLayersAndTrainingTheCodesThatShip) {
  for (const char* name : {"resnet20", "mobilenet_v2", "mobilenet_v3_small"}) {
    Forms forms(small_model(true, name), quantizer_without({}));
    expect_alike(forms, 3, name);
  }
}

TEST(LayerValuesExact, LayersThatStayFloatKeepTheirNames) {
  Forms forms(small_model(true), quantizer_without({"features.3", "features.0.0", "classifier"}));
  expect_alike(forms, 3, "excluded");
  const auto real = layer_weights(forms.real), trained = layer_weights(forms.trained),
             deployed = layer_weights(forms.deployed.graph());
  ASSERT_EQ(real.size(), deployed.size());
  ASSERT_EQ(trained.size(), deployed.size());
  int floats = 0;
  for (const LayerValue& layer : deployed) {
    const auto same = [&](const LayerValue& l) { return l.name == layer.name; };
    const auto a = std::ranges::find_if(real, same), b = std::ranges::find_if(trained, same);
    ASSERT_TRUE(a != real.end() && b != trained.end()) << layer.name;
    floats += layer.value.quantized() ? 0 : 1;
    EXPECT_GT(difference(a->value, layer.value).sqnr(), 25) << layer.name;
    EXPECT_LT(difference(b->value, layer.value).largest(), 1e-6) << layer.name;
  }
  EXPECT_GE(floats, 4);
}

Int8Graph deployed_graph() {
  const EngineQuantizer quantizer = quantizer_without({});
  return convert(Forms::calibrated(small_model(true), quantizer));
}

// The values as real numbers, as the float network would have them.
std::vector<LayerValue> reals_of(std::vector<LayerValue> layers) {
  for (LayerValue& layer : layers)
    layer.value = autograd::dequantize(autograd::Variable(layer.value)).value();
  return layers;
}

// Whether the value of each layer is that of the other list, by name.
std::map<std::string, bool> equal_layers(const std::vector<LayerValue>& a,
                                         const std::vector<LayerValue>& b) {
  std::map<std::string, bool> equal;
  for (size_t i = 0; i < a.size(); ++i)
    equal[a[i].name] = difference(a[i].value, b[i].value).largest() == 0;
  return equal;
}

TEST(ShadowExact, OnItsOwnValuesALayerHasNoError) {
  Int8Session session(deployed_graph());
  const Tensor x = pictures(3, 77);
  const auto own = layer_values(session, x), alone = shadow_values(session, x, reals_of(own));
  ASSERT_EQ(names_of(own), names_of(alone));
  for (const auto& [name, equal] : equal_layers(own, alone)) EXPECT_TRUE(equal) << name;
}

TEST(ShadowExact, ALayerThatIsBrokenIsTheOnlyOneWithAnError) {
  Int8Graph broken = deployed_graph();
  Int8Session good(broken);
  const std::string name = "features.3.conv.1.0";
  const auto node = std::ranges::find(broken.nodes, name, &Int8Node::name);
  ASSERT_NE(node, broken.nodes.end());
  node->weight = Tensor::full<int8_t>(node->weight.shape(), 3);
  Int8Session bad(broken);
  const Tensor x = pictures(3, 77);
  const auto expected = layer_values(good, x);
  const auto alone = equal_layers(expected, shadow_values(bad, x, reals_of(expected))),
             together = equal_layers(expected, layer_values(bad, x));
  int differ = 0;
  for (const auto& [layer, equal] : together) {
    differ += equal ? 0 : 1;
    EXPECT_EQ(alone.at(layer), layer != name) << layer;
  }
  EXPECT_GT(differ, 20);
}

TEST(Shadow, LayersThatTheReferenceHasNotPassTheirOwnValueOn) {
  Int8Session session(deployed_graph());
  const Tensor x = pictures(3, 77);
  const auto own = layer_values(session, x);
  for (const auto& [name, equal] : equal_layers(own, shadow_values(session, x, {})))
    EXPECT_TRUE(equal) << name;
}

TEST(SessionFault, ASubstituteOfAnotherShapeIsRefused) {
  Int8Session session(deployed_graph());
  const auto other = [](const Int8Node&, const Tensor&) { return Tensor::zeros({1}, DType::f32); };
  EXPECT_THROW(session.node_values(
                   pictures(1, 1), [](const Int8Node&, const Tensor&) {}, other),
               ShapeError);
}

TEST(LayerValues, AModelKeepsItsMode) {
  nn::GraphModule model(small_model());
  model.train();
  (void)layer_values(model, pictures(2, 1));
  EXPECT_TRUE(model.is_training());
  model.eval();
  (void)layer_values(model, pictures(2, 1));
  EXPECT_FALSE(model.is_training());
}

}  // namespace
}  // namespace stair::qat
