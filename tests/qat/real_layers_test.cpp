// Layers that compute on real numbers in the int8 engine: weight-only, dynamic, and what a
// configuration leaves float.
#include <cmath>
#include <cstring>

#include "core/cpu.h"
#include "core/file.h"
#include "nn/model.h"
#include "qat/convert.h"
#include "qat/engine_quantizer.h"
#include "qat/int8/float_node.h"
#include "qat/int8/session.h"
#include "qat/presets.h"
#include "qat/ptq/calibrate.h"
#include "tests/qat/small_graphs.h"
#include "tests/support/temporary_folder.h"

namespace stair::qat {
namespace {

nn::Graph captured(const char* name, double width = 0.25) {
  nn::ModelOptions options;
  options.num_classes = 5;
  options.width = width;
  options.seed = 3;
  const auto model = nn::find_model(name).build(options);
  return nn::capture(*model, Variable(normal({1, 32, 32, 3}, 1)));
}

std::shared_ptr<nn::GraphModule> calibrated(const nn::Graph& graph,
                                            const BackendQuantizer& quantizer) {
  auto model = std::make_shared<nn::GraphModule>(prepare_qat(graph, quantizer).graph);
  calibrate(*model, [](const auto& use) {
    for (uint64_t batch = 0; batch < 2; ++batch) use(normal({4, 32, 32, 3}, 20 + batch));
  });
  return model;
}

int64_t count_of(const Int8Graph& graph, const std::string& op) {
  return std::count_if(graph.nodes.begin(), graph.nodes.end(),
                       [&](const Int8Node& node) { return node.op == op; });
}

// The deployed graph out of its file, which gives the logits of the training form on each
// instruction set, for several sizes of the batch and any number of slices.
Int8Graph expect_exact(nn::GraphModule& model, const std::string& what) {
  const support::TemporaryFolder folder;
  save_int8_graph(convert(model.graph()), folder / "real.int8");
  Int8Graph graph = load_int8_graph(folder / "real.int8");
  EXPECT_EQ(to_string(graph), to_string(convert(model.graph()))) << what;
  for (Isa isa : available_isas()) {
    const IsaScope scope(isa);
    Int8Session session(graph, {.slice_bytes = 1});
    for (int64_t n : {1, 3}) {
      const Tensor x = normal({n, 32, 32, 3}, 40);
      expect_equal(session.run(x), run(model, x), str(what, ' ', isa, ' ', n));
    }
  }
  return graph;
}

TEST(RealLayersExact, WeightOnlyNetworksKeepCodesOfWeights) {
  const support::TemporaryFolder folder;
  for (const char* name : {"resnet20", "mobilenet_v3_small"})
    for (int bits : {8, 4}) {
      QuantizationConfig config = find_preset("weight-only").config;
      set_bits(config.weight, bits);
      const auto model = calibrated(captured(name), EngineQuantizer(config));
      const Int8Graph graph = expect_exact(*model, str(name, " W", bits));
      EXPECT_EQ(count_of(graph, "conv") + count_of(graph, "quantize"), 0);
      int64_t packed = 0, whole = 0;
      for (const Int8Node& node : graph.nodes) {
        packed += node.weight.defined() && node.weight_bits() == 4;
        whole += node.weight.defined() && node.weight_bits() == 8;
      }
      EXPECT_GE(packed + whole, 20);
      // The first and the last layer keep 8 bits.
      EXPECT_EQ(whole, bits == 8 ? packed + whole : 2);
    }
}

TEST(RealLayersExact, DynamicLayersTakeTheRangeOfEachBatch) {
  const auto model = calibrated(captured("mobilenet_v3_small"),
                                EngineQuantizer(find_preset("x86-dynamic").config));
  const Int8Graph graph = expect_exact(*model, "dynamic");
  EXPECT_EQ(count_of(graph, kDynamicLinear), 2);
  EXPECT_EQ(count_of(graph, "conv"), 0);
}

TEST(RealLayers, ADynamicLayerIsItsFormula) {
  Int8Graph graph;
  graph.nodes.resize(3);
  graph.nodes[0].op = graph.nodes[0].name = "input";
  graph.nodes[1].op = "float";
  graph.nodes[1].name = "flatten";
  graph.nodes[1].inputs = {0};
  graph.nodes[1].attributes = {{"operation", std::string("flatten")},
                               {"sources", std::vector<int64_t>{0}}};
  graph.nodes[2].op = kDynamicLinear;
  graph.nodes[2].name = "fc";
  graph.nodes[2].inputs = {1};
  graph.nodes[2].attributes.set("linear", true);
  graph.nodes[2].store_weight(Tensor::from<int8_t>({-7, 3, 100, -128, 127, 5}, {2, 3}), -128, 127);
  graph.nodes[2].weight_scale = Tensor::from<float>({0.5F, 0.25F}, {2});
  graph.nodes[2].bias = Tensor::from<float>({1.5F, -3}, {2});
  for (Int8Node& node : graph.nodes) node.format.real = true;
  const Tensor x = Tensor::from<float>({-1, 0.3F, 4.1F, 0, 2, -0.7F}, {2, 1, 1, 3});
  const Tensor y = Int8Session(graph).run(x);
  // The range of the batch is [-1, 4.1].
  const float scale = (4.1F + 1) / 255;
  const auto zero_point = static_cast<int32_t>(-std::nearbyint(-1 / scale));
  const int8_t* w = graph.nodes[2].weight.data<int8_t>();
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t o = 0; o < 2; ++o) {
      int32_t acc = 0;
      for (int64_t i = 0; i < 3; ++i) {
        const float steps = std::nearbyint(x.data<float>()[3 * n + i] * (1 / scale));
        const int32_t q = std::clamp(static_cast<int32_t>(steps) + zero_point, 0, 255);
        acc += (q - zero_point) * w[3 * o + i];
      }
      EXPECT_EQ(y.data<float>()[2 * n + o],
                std::fma(static_cast<float>(acc), scale * (o == 0 ? 0.5F : 0.25F),
                         o == 0 ? 1.5F : -3.0F));
    }
}

TEST(RealLayersExact, WhatIsExcludedStaysFloatBetweenIntegers) {
  const nn::Graph graph = captured("mobilenet_v3_small");
  for (const std::vector<std::string>& excluded : {std::vector<std::string>{"features.4*"},
                                                   {"features.0*"},
                                                   {"classifier*"},
                                                   {"features.3*", "features.5*"}}) {
    EngineQuantizer quantizer(find_preset("x86").config);
    for (const std::string& pattern : excluded) quantizer.exclude(pattern);
    const auto model = calibrated(graph, quantizer);
    const Int8Graph deployed = expect_exact(*model, excluded[0]);
    EXPECT_GT(count_of(deployed, "float"), 0) << excluded[0];
    EXPECT_GT(count_of(deployed, "conv"), 10) << excluded[0];
  }
}

TEST(RealLayersExact, PixelsGiveWhatTheirRealNumbersGive) {
  const auto model =
      calibrated(captured("resnet20"), EngineQuantizer(find_preset("weight-only").config));
  Int8Graph graph = convert(model->graph());
  for (int c = 0; c < 3; ++c) {
    graph.metadata.set(str("mean_", c), 0.5);
    graph.metadata.set(str("std_", c), 0.25);
  }
  Tensor pixels = Tensor::empty({2, 32, 32, 3}, DType::u8);
  Tensor reals = Tensor::empty(pixels.shape(), DType::f32);
  Random random(1);
  for (int64_t i = 0; i < pixels.numel(); ++i) {
    pixels.data<uint8_t>()[i] = static_cast<uint8_t>(random.bits());
    reals.data<float>()[i] =
        (static_cast<float>(pixels.data<uint8_t>()[i]) / 255.0F - 0.5F) / 0.25F;
  }
  Int8Session session(graph);
  expect_equal(session.run(pixels), session.run(reals), "pixels");
}

TEST(RealLayersFault, DynamicRangesOfOtherCodesAreRefused) {
  QuantizationConfig config = find_preset("x86-dynamic").config;
  set_bits(config.activation, 4);
  expect_config_error([&] { EngineQuantizer{config}; }, {"dynamic range", "8 bits", "u8 affine"});
}

TEST(RealLayersFault, DamagedFloatNodesAreNamed) {
  const auto model =
      calibrated(captured("resnet20"), EngineQuantizer(find_preset("weight-only").config));
  const Int8Graph good = convert(model->graph());
  EXPECT_NO_THROW(good.validate());
  const auto expect_refused = [&](const auto& damage, const std::string& what) {
    Int8Graph graph = good;
    damage(graph.nodes[1]);
    try {
      graph.validate();
      FAIL() << what;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(graph.nodes[1].name), std::string::npos);
    }
  };
  using List = std::vector<int64_t>;
  expect_refused([](Int8Node& n) { n.attributes.set("operation", std::string("cross_entropy")); },
                 "no float operation is called 'cross_entropy'");
  expect_refused([](Int8Node& n) { n.attributes.set("sources", List{0}); },
                 "conv2d has 1 inputs, expected 2 to 3");
  expect_refused([](Int8Node& n) { n.attributes.set("sources", List{0, 1}); }, "comes from 1");
  expect_refused([](Int8Node& n) { n.attributes.set("sources", List{0, -40}); }, "comes from -40");
  expect_refused([](Int8Node& n) { n.attributes.set("sources", List{-1, -2}); }, "no first input");
  expect_refused([](Int8Node& n) { n.weight = Tensor(); }, "comes from -2");
  expect_refused([](Int8Node& n) { n.weight_scale = Tensor::full<float>({1}, -1); },
                 "not positive and finite");
  expect_refused([](Int8Node& n) { n.tensors.assign(1, Tensor::zeros({2}, DType::s8)); },
                 "a tensor is [2] s8");
  expect_refused([](Int8Node& n) { n.format.real = false; }, "cannot yield codes");
}

}  // namespace
}  // namespace stair::qat
