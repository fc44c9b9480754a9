// The forms of a converted network give the logits of the prepared one, bit for bit: quantize and
// dequantize nodes, plain loops over integers, the engine.
#include <gtest/gtest.h>

#include "autograd/ops/add.h"
#include "autograd/ops/concat.h"
#include "autograd/ops/sigmoid.h"
#include "core/cpu.h"
#include "nn/graph/print.h"
#include "nn/layers/activation.h"
#include "nn/layers/pool.h"
#include "nn/model.h"
#include "qat/convert.h"
#include "qat/convert_qdq.h"
#include "qat/engine_quantizer.h"
#include "qat/int8/reference.h"
#include "qat/int8/session.h"
#include "qat/prepare.h"
#include "qat/presets.h"
#include "tests/qat/small_graphs.h"

namespace stair::qat {
namespace {

struct Case {
  const char* model;
  int64_t size;
  double width;
};
constexpr Case kCases[] = {
    {"resnet20", 16, 1}, {"resnet18", 40, 0.125}, {"mobilenet_v2", 40, 0.25}};

std::shared_ptr<nn::GraphModule> calibrated(const Case& c, const BackendQuantizer& quantizer) {
  nn::ModelOptions options;
  options.num_classes = 3;
  options.width = c.width;
  options.seed = 1;
  const Shape shape{2, c.size, c.size, 3};
  const nn::Graph graph = graph_of(*nn::find_model(c.model).build(options), shape);
  auto model = std::make_shared<nn::GraphModule>(prepare_qat(graph, quantizer).graph);
  for (uint64_t i = 0; i < 2; ++i) (void)run(*model, normal(shape, i));
  model->eval();
  return model;
}

Tensor run_qdq(const nn::Graph& prepared, const Tensor& x) {
  nn::GraphModule model(convert_qdq(prepared));
  model.eval();
  return run(model, x);
}

void expect_all_forms(nn::GraphModule& model, const Tensor& x, const std::string& what) {
  const Tensor y = run(model, x);
  const Int8Graph graph = convert(model.graph());
  expect_equal(run_qdq(model.graph(), x), y, what + ", Q/DQ");
  expect_equal(run_reference(graph, x), y, what + ", reference");
  expect_equal(Int8Session(graph).run(x), y, what + ", engine");
}

TEST(ConvertFormsExact, AreEqualForEveryModel) {
  for (const Case& c : kCases) {
    const auto model = calibrated(c, EngineQuantizer(x86_config()));
    expect_all_forms(*model, normal({2, c.size, c.size, 3}, 9), c.model);
  }
}

TEST(ConvertFormsExact, AreEqualForEveryPreset) {
  for (const Preset& preset : presets()) {
    const auto model = calibrated(kCases[0], EngineQuantizer(preset.config));
    expect_all_forms(*model, normal({1, 16, 16, 3}, 8), preset.name);
  }
}

TEST(ConvertFormsExact, AreEqualForFewBits) {
  for (const int bits : {4, 2}) {
    const auto model = calibrated(kCases[0], EngineQuantizer(x86_config(bits, bits, "lsq")));
    expect_all_forms(*model, normal({1, 16, 16, 3}, 8), str(bits, " bits"));
  }
}

// A layer in float has the first two forms alone.
TEST(ConvertFormsExact, AreEqualForAPartlyFloatNetwork) {
  EngineQuantizer quantizer(x86_config());
  quantizer.exclude("layer2.0.conv1").exclude("layer3");
  const auto model = calibrated(kCases[0], quantizer);
  const Tensor x = normal({2, 16, 16, 3}, 9);
  expect_all_forms(*model, x, "partly float");
  const nn::Graph qdq = convert_qdq(model->graph());
  EXPECT_NE(qdq.find("layer3.0.conv1.weight"), nullptr);
  EXPECT_EQ(qdq.find("layer1.0.conv1.weight"), nullptr);
  EXPECT_EQ(qdq.find("layer1.0.conv1.weight_codes")->variable.dtype(), DType::s8);
}

TEST(ConvertFormsExact, EveryInstructionSetGivesTheLogitsOfTheReferenceForm) {
  const auto model = calibrated(kCases[0], EngineQuantizer(x86_config()));
  const Tensor x = normal({1, 16, 16, 3}, 3);
  const Tensor y = run_reference(convert(model->graph()), x);
  for (const Isa isa : available_isas()) {
    const IsaScope scope(isa);
    expect_equal(run_qdq(model->graph(), x), y, str(isa));
  }
}

TEST(ConvertQdq, HasAQuantizeNodeForEveryQuantizer) {
  const auto model = calibrated(kCases[2], EngineQuantizer(x86_config()));
  const std::string before = nn::to_text(model->graph());
  const nn::Graph qdq = convert_qdq(model->graph());
  EXPECT_EQ(nn::to_text(model->graph()), before);
  int quantizers = 0, layers = 0, quantize = 0, dequantize = 0;
  for (const nn::Node& node : model->graph().nodes()) {
    quantizers += dynamic_cast<const Quantizer*>(node.module.get()) != nullptr;
    layers += dynamic_cast<const QatConv*>(node.module.get()) != nullptr;
  }
  for (const nn::Node& node : qdq.nodes()) {
    EXPECT_NE(node.op, "module") << node.name;
    quantize += node.op == "quantize";
    dequantize += node.op == "dequantize";
  }
  EXPECT_EQ(quantize, quantizers);
  EXPECT_EQ(dequantize, quantizers + layers);
  const std::string text = nn::to_text(qdq);
  EXPECT_NE(text.find("quantize("), std::string::npos);
}

TEST(ConvertQdqFault, WithoutCalibrationSaysSo) {
  nn::ModelOptions options;
  options.num_classes = 3;
  const nn::Graph graph = graph_of(*nn::find_model("resnet20").build(options), {1, 16, 16, 3});
  const nn::Graph prepared = prepare_qat(graph, x86_config()).graph;
  expect_config_error([&] { (void)convert_qdq(prepared); }, {"input", "calibrate first"});
}

TEST(ReferenceFault, TakesFloatsOnly) {
  const auto model = calibrated(kCases[0], EngineQuantizer(x86_config()));
  EXPECT_THROW(
      (void)run_reference(convert(model->graph()), Tensor::zeros({1, 16, 16, 3}, DType::u8)),
      DTypeError);
}

}  // namespace
}  // namespace stair::qat
