// int8-mixed-bf16: what stays real between integers is rounded to bf16.
#include "qat/mixed_bf16.h"

#include <gtest/gtest.h>

#include "autograd/ops/bfloat16.h"
#include "autograd/ops/conv2d.h"
#include "nn/model.h"
#include "qat/convert.h"
#include "qat/convert_qdq.h"
#include "qat/engine_quantizer.h"
#include "qat/int8/reference.h"
#include "qat/int8/session.h"
#include "qat/presets.h"
#include "tests/qat/small_graphs.h"

namespace stair::qat {
namespace {

std::shared_ptr<nn::GraphModule> calibrated(const char* name, const EngineQuantizer& quantizer) {
  nn::ModelOptions options;
  options.num_classes = 3;
  options.width = 0.5;
  options.seed = 3;
  const nn::Graph graph = graph_of(*nn::find_model(name).build(options), {2, 32, 32, 3});
  auto model = std::make_shared<nn::GraphModule>(mixed_bf16(prepare_qat(graph, quantizer).graph));
  for (uint64_t i = 0; i < 2; ++i) (void)run(*model, normal({2, 32, 32, 3}, i));
  model->eval();
  return model;
}

EngineQuantizer partly_float() {
  EngineQuantizer quantizer(find_preset("x86-bf16").config);
  quantizer.exclude("layer2.0.conv1").exclude("layer3.1").exclude("linear");
  return quantizer;
}

bool is_bf16(const Tensor& x) {
  const Tensor again = autograd::bfloat16(Variable(x)).value();
  return std::equal(x.data<float>(), x.data<float>() + x.numel(), again.data<float>());
}

TEST(MixedBf16Exact, EveryFormGivesTheLogitsOfTraining) {
  const Tensor x = normal({3, 32, 32, 3}, 9);
  for (const char* name : {"resnet20", "mobilenet_v3_small"}) {
    const auto model = calibrated(name, std::string(name) == "resnet20"
                                            ? partly_float()
                                            : EngineQuantizer(find_preset("x86-bf16").config));
    const Tensor y = run(*model, x);
    EXPECT_TRUE(is_bf16(y)) << name;
    const Int8Graph deployed = convert(model->graph());
    expect_equal(Int8Session(deployed).run(x), y, str(name, ", engine"));
    expect_equal(run_reference(deployed, x), y, str(name, ", reference"));
    nn::GraphModule qdq(convert_qdq(model->graph()));
    qdq.eval();
    expect_equal(run(qdq, x), y, str(name, ", Q/DQ"));
  }
}

TEST(MixedBf16, EveryRealValueButTheInputIsABf16Number) {
  const auto model = calibrated("resnet20", partly_float());
  Int8Session session(convert(model->graph()));
  int real = 0;
  session.node_values(normal({2, 32, 32, 3}, 4), [&](const Int8Node& node, const Tensor& value) {
    if (!node.format.real || node.op == "input") return;
    const bool rounds =
        node.op == "float" && node.attributes.get<std::string>("operation") == "bfloat16";
    EXPECT_TRUE(!rounds || is_bf16(value)) << node.name;
    real += rounds ? 1 : 0;
    if (node.op != "float" || node.attributes.get<std::string>("operation") != "conv2d") return;
    for (const Tensor& tensor : node.tensors) EXPECT_TRUE(is_bf16(tensor)) << node.name;
  });
  EXPECT_GT(real, 10);
}

// A float layer between integers, by its definition.
TEST(MixedBf16Exact, AFloatLayerRoundsItsInputWeightsAndResult) {
  const auto model = calibrated("resnet20", partly_float());
  std::map<std::string, Tensor> values;
  std::vector<std::string> reads;
  model->set_observer([&](const nn::Node& node, const Variable& value) {
    values[node.name] = value.value();
    if (node.name == "layer2.0.conv1.conv2d")
      for (const int input : node.inputs)
        if (input >= 0) reads.push_back(model->graph().node(input).name);
  });
  (void)run(*model, normal({2, 32, 32, 3}, 4));
  const Tensor w = model->graph().find("layer2.0.conv1.weight")->variable.value();
  const nn::Node& rounded = *model->graph().find(reads.at(0));
  const Tensor x = values.at(model->graph().node(rounded.inputs[0]).name);
  EXPECT_TRUE(x.quantized());
  autograd::Conv2dOptions options;
  options.stride = {2, 2};
  options.padding = {1, 1, 1, 1};
  const autograd::NoGrad no_grad;
  const Variable y = autograd::bfloat16(autograd::conv2d(
      autograd::bfloat16(Variable(x)), autograd::bfloat16(Variable(w)), Variable(), options));
  expect_equal(values.at("layer2.0.conv1.conv2d.bfloat16"), y.value(), "layer2.0.conv1");
  EXPECT_EQ(reads.at(1), "layer2.0.conv1.weight.bfloat16");
}

TEST(MixedBf16, ANetworkOfIntegersOnlyRoundsItsResult) {
  const auto model = calibrated("resnet20", EngineQuantizer(find_preset("x86-bf16").config));
  int roundings = 0;
  for (const nn::Node& node : model->graph().nodes()) roundings += node.op == "bfloat16" ? 1 : 0;
  EXPECT_EQ(roundings, 1);
}

}  // namespace
}  // namespace stair::qat
