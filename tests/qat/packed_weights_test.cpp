// Weights of 4 and 2 bits in the deployed graph: several a byte, in the file and in memory.
#include <gtest/gtest.h>

#include <cstring>

#include "core/cpu.h"
#include "core/file.h"
#include "core/random.h"
#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/model.h"
#include "qat/convert.h"
#include "qat/int8/session.h"
#include "qat/prepare.h"
#include "tests/support/sanitizers.h"
#include "tests/support/temporary_folder.h"

namespace stair::qat {
namespace {

Tensor pictures(int64_t n, uint64_t seed) {
  Tensor x = Tensor::empty({n, 32, 32, 3}, DType::f32);
  Random random(seed);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = random.normal();
  return x;
}

std::shared_ptr<nn::GraphModule> calibrated(const char* model, int weight_bits,
                                            int activation_bits) {
  nn::ModelOptions options;
  options.num_classes = 10;
  options.width = std::string(model) == "resnet20" ? 1 : 0.25;
  options.seed = 2;
  const auto float_model = nn::find_model(model).build(options);
  QuantizationConfig config = x86_config(weight_bits, activation_bits);
  config.first_last_8_bits = false;
  auto qat = std::make_shared<nn::GraphModule>(
      prepare_qat(nn::capture(*float_model, Variable(pictures(1, 1))), config).graph);
  const autograd::NoGrad no_grad;
  (void)(*qat)(Variable(pictures(4, 3)));
  qat->eval();
  return qat;
}

void expect_equal(const Tensor& a, const Tensor& b, const std::string& what) {
  ASSERT_EQ(a.shape(), b.shape()) << what;
  EXPECT_EQ(std::memcmp(a.raw(), b.raw(), a.bytes()), 0) << what;
}

struct Bits {
  int weight, activation;
};
constexpr Bits kBits[] = {{4, 8}, {4, 4}, {2, 8}, {2, 2}, {3, 8}};

TEST(PackedWeightsExact, TrainingFormFileAndEveryInstructionSetGiveOneSetOfLogits) {
  const support::TemporaryFolder folder;
  for (const char* model : {"resnet20", "mobilenet_v2"})
    for (const Bits& bits : kBits) {
      if (support::kSanitized && bits.weight != 4) continue;
      const auto qat = calibrated(model, bits.weight, bits.activation);
      const Int8Graph graph = convert(qat->graph());
      const Tensor x = pictures(2, 5);
      const autograd::NoGrad no_grad;
      const Tensor expected = (*qat)(Variable(x)).value();
      save_int8_graph(graph, folder / "packed.int8");
      const Int8Graph loaded = load_int8_graph(folder / "packed.int8");
      for (Isa isa : available_isas()) {
        const IsaScope scope(isa);
        expect_equal(expected, Int8Session(loaded).run(x),
                     str(model, " W", bits.weight, "A", bits.activation, ' ', isa));
      }
    }
}

TEST(PackedWeights, TheFileTakesAHalfAndAQuarterOfTheWeights) {
  const support::TemporaryFolder folder;
  const auto weights = [](const Int8Graph& graph) {
    size_t bytes = 0;
    for (const Int8Node& node : graph.nodes)
      if (node.weight.defined()) bytes += node.weight.bytes();
    return static_cast<int64_t>(bytes);
  };
  const auto file = [&](const Int8Graph& graph) {
    save_int8_graph(graph, folder / "size.int8");
    return static_cast<int64_t>(InputFile(folder / "size.int8", FileUse::model).size());
  };
  const Int8Graph w8 = convert(calibrated("resnet20", 8, 8)->graph()),
                  w4 = convert(calibrated("resnet20", 4, 8)->graph()),
                  w2 = convert(calibrated("resnet20", 2, 8)->graph());
  // Rows of channels end at bytes: the first layer's 27 codes of a channel take 14 bytes and 7.
  EXPECT_LE(weights(w4), weights(w8) / 2 + 16);
  EXPECT_LE(weights(w2), weights(w8) / 4 + 16);
  EXPECT_NEAR(static_cast<double>(file(w8) - file(w4)),
              static_cast<double>(weights(w8) - weights(w4)), 2048 + 50.0 * 25);
  EXPECT_LT(file(w2), file(w4));
  // Three bits are stored in four.
  EXPECT_EQ(weights(convert(calibrated("resnet20", 3, 8)->graph())), weights(w4));
}

TEST(PackedWeights, CodesComeBackAsTheyWere) {
  Int8Node node;
  const Tensor codes = Tensor::from<int8_t>({-8, 7, 0, 1, -1, -3}, {2, 3});
  node.store_weight(codes, -8, 7);
  EXPECT_EQ(node.weight_bits(), 4);
  EXPECT_EQ(node.weight.shape(), (Shape{2, 2}));
  EXPECT_EQ(node.weight_shape(), codes.shape());
  EXPECT_EQ(std::memcmp(node.weight_codes().raw(), codes.raw(), codes.bytes()), 0);
}

// A graph of one linear layer of 3 inputs and 2 outputs, W4.
Int8Graph small_graph() {
  Int8Graph graph;
  graph.nodes.resize(3);
  graph.nodes[0].op = graph.nodes[0].name = "input";
  graph.nodes[0].format.real = true;
  graph.nodes[1].op = "quantize";
  graph.nodes[1].inputs = {0};
  Int8Node& linear = graph.nodes[2];
  linear.op = "conv";
  linear.name = "fc";
  linear.inputs = {1};
  linear.format.real = true;
  linear.attributes.set("linear", true);
  linear.store_weight(Tensor::from<int8_t>({-8, 7, 0, 1, -1, -3}, {2, 3}), -8, 7);
  linear.weight_scale = Tensor::full<float>({1}, 0.5F);
  return graph;
}

void expect_refused(const Int8Graph& graph, const std::string& what) {
  try {
    graph.validate();
    FAIL() << "nothing was said of: " << what;
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find("'fc'"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
  }
}

TEST(PackedWeightsFault, EveryDamageIsNamed) {
  EXPECT_NO_THROW(small_graph().validate());
  Int8Graph graph = small_graph();
  graph.nodes[2].attributes.set("weight_bits", int64_t{3});
  expect_refused(graph, "weight_bits 3, expected 2 or 4");
  graph = small_graph();
  graph.nodes[2].weight.data<uint8_t>()[3] = 0x1D;
  expect_refused(graph, "channel 1 have bits behind their last code");
  graph = small_graph();
  graph.nodes[2].attributes.set("weight_shape", std::vector<int64_t>{2, 5});
  expect_refused(graph, "expected u8 [2,3] for 4 bits of [2,5]");
  graph = small_graph();
  graph.nodes[2].attributes.set("weight_shape", std::vector<int64_t>{2, -3});
  expect_refused(graph, "weight_shape [2,-3]");
  graph = small_graph();
  graph.nodes[2].attributes.set("weight_shape", std::vector<int64_t>{});
  expect_refused(graph, "packed weights");
  graph = small_graph();
  graph.nodes[2].weight = Tensor::zeros({2, 2}, DType::s8);
  expect_refused(graph, "packed weights [2,2] s8");
  graph = small_graph();
  graph.nodes[2].weight = Tensor();
  expect_refused(graph, "without weights");
  graph = small_graph();
  graph.nodes[2].attributes = {};
  graph.nodes[2].attributes.set("linear", true);
  expect_refused(graph, "expected s8");
}

}  // namespace
}  // namespace stair::qat
