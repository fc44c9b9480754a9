#include "qat/engine_quantizer.h"

#include <map>

#include "autograd/ops/add.h"
#include "nn/layers/activation.h"
#include "nn/layers/linear.h"
#include "nn/layers/pool.h"
#include "nn/layers/sequential.h"
#include "nn/model.h"
#include "qat/node_patterns.h"
#include "qat/prepare.h"
#include "tests/qat/small_graphs.h"

namespace stair::qat {
namespace {

nn::Graph resnet() {
  nn::ModelOptions options;
  options.width = 0.125;
  return graph_of(*nn::find_model("resnet18").build(options), {1, 40, 40, 3});
}

// Bits of the weights of each layer, by path; 0: float.
std::map<std::string, int> weight_bits(const nn::Graph& graph, const EngineQuantizer& quantizer) {
  std::map<std::string, int> bits;
  const Prepared prepared = prepare_qat(graph, quantizer);
  for (const nn::Node& node : prepared.graph.nodes()) {
    if (node.op == "conv2d" || node.op == "linear") bits[node.path] = 0;
    if (auto* conv = dynamic_cast<QatConv*>(node.module.get()))
      bits[node.path] = conv->weight_quantizer().spec().bits;
  }
  return bits;
}

int count(const std::map<std::string, int>& bits, int wanted) {
  int found = 0;
  for (const auto& [path, b] : bits) found += b == wanted;
  return found;
}

std::string how(const nn::Graph& graph, const EngineQuantizer& quantizer, const std::string& name) {
  for (const NodeReport& line : prepare_qat(graph, quantizer).report)
    if (line.name == name) return str(line.quantized ? "int8: " : "float: ", line.how);
  return "";
}

QuantizationConfig all_of(int weight_bits) {
  QuantizationConfig config = x86_config(weight_bits);
  config.first_last_8_bits = false;
  return config;
}

TEST(EngineQuantizer, TheNameBeatsTheTypeAndTheTypeTheGlobalConfiguration) {
  const nn::Graph graph = resnet();
  EngineQuantizer quantizer(all_of(7));
  quantizer.set_object_type("torch.nn.Conv2d", all_of(6))
      .set_module_name("layer1", all_of(5))
      .set_module_name("layer1.0.conv1", all_of(4))
      .set_module_name("layer?.1.conv2", all_of(3))
      .set_module_name("layer2.0", std::nullopt);
  const auto bits = weight_bits(graph, quantizer);
  EXPECT_EQ(bits.at("fc"), 7);
  EXPECT_EQ(bits.at("conv1"), 6);
  EXPECT_EQ(bits.at("layer1.1.conv1"), 5);
  EXPECT_EQ(bits.at("layer1.0.conv1"), 4);
  EXPECT_EQ(bits.at("layer3.1.conv2"), 3);
  EXPECT_EQ(bits.at("layer2.0.conv1"), 0);
  EXPECT_EQ(how(graph, quantizer, "layer2.0.conv1.conv2d"),
            "float: module name 'layer2.0' has no configuration");
  EXPECT_EQ(how(graph, EngineQuantizer(), "fc.linear"), "float: no configuration names it");
}

TEST(EngineQuantizer, TheLastSettingOfANameHolds) {
  EngineQuantizer quantizer(all_of(8));
  quantizer.set_module_name("fc", all_of(4)).set_module_name("fc", all_of(2));
  quantizer.set_object_type("conv2d", all_of(3)).set_object_type("Conv2d", std::nullopt);
  const auto bits = weight_bits(resnet(), quantizer);
  EXPECT_EQ(bits.at("fc"), 2);
  EXPECT_EQ(bits.at("conv1"), 0);
}

TEST(EngineQuantizer, ExcludesByNameByGlobAndByType) {
  const nn::Graph graph = resnet();
  const auto excluding = [&](const char* pattern) {
    return count(weight_bits(graph, EngineQuantizer(all_of(8)).exclude(pattern)), 0);
  };
  EXPECT_EQ(excluding("layer1.0.conv1"), 1);
  EXPECT_EQ(excluding("layer1"), 4);
  EXPECT_EQ(excluding("layer*.0.conv?"), 8);
  EXPECT_EQ(excluding("linear"), 1);
  EXPECT_EQ(excluding("Conv2d"), 20);
  EXPECT_EQ(how(graph, EngineQuantizer(all_of(8)).exclude("fc"), "fc.linear"),
            "float: excluded by 'fc'");
}

TEST(EngineQuantizer, IncludesNothingElse) {
  const nn::Graph graph = resnet();
  EngineQuantizer quantizer(all_of(8));
  quantizer.include("layer1").include("linear").exclude("layer1.1");
  const auto bits = weight_bits(graph, quantizer);
  EXPECT_EQ(count(bits, 8), 3);
  EXPECT_EQ(bits.at("fc"), 8);
  EXPECT_EQ(how(graph, quantizer, "conv1.conv2d"), "float: not included");
}

// What the seed motivates quantizers with: every other linear layer, or those whose input has as
// many dimensions.
TEST(EngineQuantizer, AFilterChoosesByAnyRule) {
  nn::Sequential model({std::make_shared<nn::Linear>(3, 3), std::make_shared<nn::Linear>(3, 3),
                        std::make_shared<nn::Flatten>(), std::make_shared<nn::Linear>(12, 3),
                        std::make_shared<nn::Linear>(3, 3)});
  const nn::Graph graph = graph_of(model, {2, 4, 3});
  EngineQuantizer other(all_of(8));
  other.set_filter([](const nn::Graph& g, const nn::Node& node) {
    int before = 0;
    for (const nn::Node& n : g.nodes()) {
      if (n.id == node.id) break;
      before += n.op == "linear";
    }
    return before % 2 == 0;
  });
  EXPECT_EQ(weight_bits(graph, other),
            (std::map<std::string, int>{{"0", 8}, {"1", 0}, {"3", 8}, {"4", 0}}));
  EngineQuantizer three(all_of(8));
  three.set_filter([](const nn::Graph& g, const nn::Node& node) {
    return g.node(node.inputs[0]).shape.rank() == 3;
  });
  EXPECT_EQ(weight_bits(graph, three),
            (std::map<std::string, int>{{"0", 8}, {"1", 8}, {"3", 0}, {"4", 0}}));
}

TEST(EngineQuantizer, AFloatLayerReadsAndYieldsRealNumbers) {
  nn::GraphModule prepared(
      prepare_qat(resnet(), EngineQuantizer(x86_config()).exclude("layer2.0.conv1")).graph);
  const Tensor x = normal({2, 40, 40, 3}, 1);
  (void)run(prepared, x);
  prepared.eval();
  int real = 0, codes = 0;
  prepared.set_observer([&](const nn::Node& node, const Variable& value) {
    if (node.path == "layer2.0.conv1" && node.op == "conv2d") real += !value.quantized();
    // What reads the float layer's batch norm gets integers again.
    if (node.name == "layer2.0.relu.relu.output_quantizer") codes += value.quantized();
  });
  (void)run(prepared, x);
  EXPECT_EQ(real, 1);
  EXPECT_EQ(codes, 1);
}

TEST(EngineQuantizerFault, ANameThatMeansNothingIsAnErrorWithTheNearestName) {
  const nn::Graph graph = resnet();
  const auto annotate = [&](const EngineQuantizer& quantizer) {
    (void)prepare_qat(graph, quantizer);
  };
  expect_config_error([&] { annotate(EngineQuantizer().exclude("layer1.0.conv9")); },
                      {"exclude", "'layer1.0.conv9'", "did you mean 'layer1.0.conv1'"});
  expect_config_error([&] { annotate(EngineQuantizer().include("layr2")); }, {"'layer2'"});
  expect_config_error([&] { annotate(EngineQuantizer().set_module_name("fcc", x86_config())); },
                      {"set_module_name", "did you mean 'fc'"});
  expect_config_error([&] { annotate(EngineQuantizer().exclude("head*")); }, {"layers are"});
  expect_config_error([&] { EngineQuantizer().set_object_type("conv3d", x86_config()); },
                      {"'conv3d'", "'conv2d'"});
}

TEST(NodePatterns, TypesHaveTheNamesOfTorchToo) {
  for (const auto& [torch, op] :
       std::map<std::string, std::string>{{"torch.nn.BatchNorm2d", "batch_norm"},
                                          {"nn.AdaptiveAvgPool2d", "global_avg_pool"},
                                          {"torch.nn.functional.linear", "linear"},
                                          {"torch.nn.ReLU6", "relu6"},
                                          {"torch.cat", "concat"},
                                          {"max_pool2d", "max_pool2d"}})
    EXPECT_EQ(object_type(torch), op);
}

TEST(EngineQuantizer, WeightBitsOfALayerBeatTheFirstAndLastEight) {
  const nn::Graph graph = resnet();
  EngineQuantizer quantizer(x86_config(6));
  quantizer.set_weight_bits("layer1", 4)
      .set_weight_bits("layer1.0.conv?", 2)
      .set_weight_bits("Linear", 5);
  auto bits = weight_bits(graph, quantizer);
  EXPECT_EQ(bits["conv1"], 8);
  EXPECT_EQ(bits["layer1.0.conv2"], 2);
  EXPECT_EQ(bits["layer1.1.conv1"], 4);
  EXPECT_EQ(bits["layer2.0.conv1"], 6);
  EXPECT_EQ(bits["fc"], 5);
  quantizer.set_weight_bits("conv2d", 3).exclude("layer2");
  bits = weight_bits(graph, quantizer);
  EXPECT_EQ(bits["conv1"], 3);
  EXPECT_EQ(bits["layer1.0.conv2"], 3);
  EXPECT_EQ(bits["layer2.0.conv1"], 0);
  EXPECT_EQ(bits["fc"], 5);
}

TEST(EngineQuantizerFault, WeightBitsOfNoLayerSaySo) {
  const nn::Graph graph = resnet();
  const auto prepare_with = [&](const char* pattern) {
    return [&graph, pattern] {
      prepare_qat(graph, EngineQuantizer(x86_config()).set_weight_bits(pattern, 4));
    };
  };
  expect_config_error(prepare_with("layer9"), {"weight bits", "'layer9'", "'layer1'"});
  expect_config_error(prepare_with("relu"), {"'relu' names no convolution or linear layer"});
  expect_config_error([] { EngineQuantizer().set_weight_bits("fc", 9); }, {"9"});
}

}  // namespace
}  // namespace stair::qat
