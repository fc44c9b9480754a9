// Weights of linear layers with a scale for each group of inputs.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/dequantize.h"
#include "autograd/ops/cross_entropy.h"
#include "nn/layers/linear.h"
#include "nn/model.h"
#include "nn/optimizer.h"
#include "qat/convert.h"
#include "qat/convert_qdq.h"
#include "qat/engine_quantizer.h"
#include "qat/int8/reference.h"
#include "qat/int8/session.h"
#include "qat/presets.h"
#include "qat/ptq/adaround.h"
#include "qat/ptq/calibrate.h"
#include "qat/spec_json.h"
#include "tests/qat/small_graphs.h"
#include "tests/support/temporary_folder.h"

namespace stair::qat {
namespace {

QuantizationConfig grouped(const char* preset, int64_t size, const char* quantizer = "ste") {
  QuantizationConfig config = find_preset(preset).config;
  set_bits(config.weight, 4);
  config.weight.quantizer = quantizer;
  config.weight.group_size = size;
  config.first_last_8_bits = false;
  return config;
}

nn::Graph network(const char* model) {
  nn::ModelOptions options;
  options.num_classes = 3;
  options.width = 0.5;
  options.seed = 3;
  return graph_of(*nn::find_model(model).build(options), {2, 32, 32, 3});
}

std::shared_ptr<nn::GraphModule> calibrated(const nn::Graph& graph,
                                            const QuantizationConfig& config) {
  auto model = std::make_shared<nn::GraphModule>(prepare_qat(graph, config).graph);
  for (uint64_t i = 0; i < 2; ++i) (void)run(*model, normal({2, 32, 32, 3}, i));
  model->eval();
  return model;
}

const QatConv& last_layer(const nn::GraphModule& model) {
  const QatConv* found = nullptr;
  for (const nn::Node& node : model.graph().nodes())
    if (const auto* conv = dynamic_cast<const QatConv*>(node.module.get())) found = conv;
  return *found;
}

// The classifier of MobileNetV3 has two linear layers with a hardswish between.
TEST(GroupScalesExact, EveryFormGivesTheLogitsOfTraining) {
  const support::TemporaryFolder folder;
  for (const char* name : {"resnet20", "mobilenet_v3_small"}) {
    const nn::Graph graph = network(name);
    for (const auto& config :
         {grouped("x86", 16), grouped("tensorrt", 32, "lsq"), grouped("weight-only", 16)}) {
      if (std::string(name) != "resnet20" && config.weight.quantizer == "lsq") continue;
      const auto model = calibrated(graph, config);
      const Tensor x = normal({1, 32, 32, 3}, 9), y = run(*model, x);
      EXPECT_EQ(last_layer(*model).options().group_size, config.weight.group_size);
      const Int8Graph deployed = convert(model->graph());
      EXPECT_EQ(deployed.nodes.back().weight_shape()[1], config.weight.group_size);
      expect_equal(Int8Session(deployed).run(x), y, str(name, ", engine"));
      expect_equal(run_reference(deployed, x), y, str(name, ", reference"));
      nn::GraphModule qdq(convert_qdq(model->graph()));
      qdq.eval();
      expect_equal(run(qdq, x), y, str(name, ", Q/DQ"));
      save_int8_graph(deployed, folder / "model");
      expect_equal(Int8Session(load_int8_graph(folder / "model")).run(x), y, str(name, ", file"));
    }
  }
}

// Where an output has large weights, too.
TEST(GroupScales, KeepTheSmallWeightsOfAnOutput) {
  nn::Graph graph = network("resnet20");
  Tensor w = graph.find("linear.weight")->variable.value();
  for (int64_t i = 0; i < w.numel(); ++i) w.data<float>()[i] *= i % 32 < 16 ? 10.0F : 0.1F;
  double errors[2];
  for (const int64_t size : {0, 16}) {
    const auto model = calibrated(graph, grouped("x86", size));
    const autograd::NoGrad no_grad;
    const Tensor qq = last_layer(*model).quantized(Variable(w)).value();
    const Tensor q = autograd::dequantize(last_layer(*model).quantized(Variable(w)).value());
    double& error = errors[size > 0];
    error = 0;
    for (int64_t i = 0; i < w.numel(); ++i)
      if (i % 32 >= 16)
        error += std::abs(static_cast<double>(q.data<float>()[i]) - w.data<float>()[i]);
  }
  EXPECT_LT(errors[1], 0.2 * errors[0]);
}

TEST(GroupScales, TrainStraightThrough) {
  const nn::Graph graph = network("resnet20");
  for (const char* quantizer : {"ste", "lsq"}) {
    nn::GraphModule model(prepare_qat(graph.deep_copy(), grouped("x86", 16, quantizer)).graph);
    nn::Sgd sgd(nn::decay_groups(model.named_parameters(), 0), {});
    const Tensor x = normal({8, 32, 32, 3}, 1),
                 labels = Tensor::from<int64_t>({0, 1, 2, 0, 1, 2, 0, 1}, {8});
    float first = 0, last = 0;
    for (int step = 0; step < 12; ++step) {
      const Variable loss = autograd::cross_entropy(model(Variable(x)), labels, {});
      last = loss.value().item<float>();
      if (step == 0) first = last;
      loss.backward();
      sgd.step(0.02);
      sgd.zero_grad();
    }
    EXPECT_LT(last, 0.8F * first) << quantizer;
  }
}

TEST(GroupScalesExact, AdaRoundKeepsThem) {
  const nn::Graph folded = fold_batch_norm(network("resnet20"));
  nn::GraphModule reference(folded),
      model(prepare_qat(folded.deep_copy(), grouped("x86", 16)).graph);
  const Batches batches = [](const auto& f) { f(normal({4, 32, 32, 3}, 5)); };
  calibrate(model, batches);
  AdaRoundOptions options;
  options.iterations = 20;
  const auto report = adaround(model, reference, batches, options);
  EXPECT_LE(report.back().error, report.back().nearest_error);
  const Tensor x = normal({2, 32, 32, 3}, 9);
  expect_equal(Int8Session(convert(model.graph())).run(x), run(model, x), "engine");
}

TEST(GroupScales, SpecificationsSayThemAndGoToJson) {
  const QuantizationSpec spec = grouped("x86", 32).weight;
  EXPECT_EQ(describe(spec), "ste s8 4 bits symmetric per group of 32");
  EXPECT_EQ(spec_from_json(to_json(spec), true), spec);
}

TEST(GroupScalesFault, WhatHasNoGroupsIsNamed) {
  const nn::Graph graph = network("resnet20");
  expect_config_error([&] { (void)prepare_qat(graph, grouped("x86", 48)); },
                      {"groups of 48", "'linear.linear'", "[3,32]"});
  expect_config_error([&] { EngineQuantizer{grouped("qnnpack", 16)}; }, {"groups of 16", "axis 0"});
  expect_config_error([&] { EngineQuantizer{grouped("x86", -1)}; }, {"groups of -1"});
  expect_config_error([&] { EngineQuantizer{grouped("x86-dynamic", 16)}; }, {"dynamic range"});
}

}  // namespace
}  // namespace stair::qat
