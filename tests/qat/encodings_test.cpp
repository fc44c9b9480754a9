// The encodings of a network are its scales, and all of them.
#include "qat/int8/encodings.h"

#include <gtest/gtest.h>

#include <cmath>

#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/model.h"
#include "qat/convert.h"
#include "qat/prepare.h"
#include "qat/presets.h"
#include "tests/nn/values.h"

namespace stair::qat {
namespace {

Int8Graph network(const std::string& preset, int wbits, int abits) {
  const auto model = nn::find_model("resnet20").build({.num_classes = 4, .width = 0.25, .seed = 3});
  const autograd::Variable pictures = nn::random_variable({2, 16, 16, 3}, 4);
  QuantizationConfig config = find_preset(preset).config;
  set_bits(config.weight, wbits);
  set_bits(config.activation, abits);
  config.first_last_8_bits = config.add_operands_8_bits = false;
  nn::GraphModule quantized(prepare_qat(nn::capture(*model, pictures), config).graph);
  for (int i = 0; i < 2; ++i) (void)quantized(pictures);
  quantized.eval();
  return convert(quantized.graph());
}

// The encoding's own arithmetic: the code counted from 0, plus the offset, times the scale.
double real_number(const Json& encoding, int64_t code) {
  const int64_t least = encoding.at("offset").as_int() + encoding.at("zero_point").as_int();
  return static_cast<double>(code - least + encoding.at("offset").as_int()) *
         encoding.at("scale").as_double();
}

void expect_range(const Json& e) {
  const double scale = e.at("scale").as_double();
  const int64_t steps = (int64_t{1} << e.at("bitwidth").as_int()) - 1;
  EXPECT_EQ(e.at("min").as_double(), static_cast<double>(e.at("offset").as_int()) * scale);
  EXPECT_NEAR(e.at("max").as_double() - e.at("min").as_double(), static_cast<double>(steps) * scale,
              1e-9 * static_cast<double>(steps) * scale);
  EXPECT_LE(real_number(e, e.at("qmax").as_int()), e.at("max").as_double());
  EXPECT_GE(real_number(e, e.at("qmin").as_int()), e.at("min").as_double());
}

void expect_weight(const Json& channels, const Int8Node& node, int bits) {
  const Tensor codes = node.weight_codes();
  ASSERT_EQ(static_cast<int64_t>(channels.size()), node.weight_scale.numel()) << node.name;
  const int64_t inner = codes.numel() / node.weight_scale.numel();
  for (int64_t i = 0; i < codes.numel(); i += 7) {
    const Json& e = channels.at(static_cast<size_t>(i / inner));
    EXPECT_EQ(e.at("bitwidth").as_int(), bits);
    EXPECT_EQ(e.at("is_symmetric").as_string(), "True");
    const double want = static_cast<double>(codes.data<int8_t>()[i]) *
                        static_cast<double>(node.weight_scale.data<float>()[i / inner]);
    ASSERT_EQ(real_number(e, codes.data<int8_t>()[i]), want) << node.name;
    expect_range(e);
  }
}

void expect_bias(const Json& channels, const Int8Node& node) {
  const bool int8 = node.attributes.has("bias_scale");
  ASSERT_EQ(static_cast<int64_t>(channels.size()), int8 ? 1 : node.bias.numel()) << node.name;
  for (int64_t c = 0; c < node.bias.numel(); ++c) {
    const Json& e = channels.at(int8 ? 0 : static_cast<size_t>(c));
    const double scale = e.at("scale").as_double(),
                 steps = static_cast<double>(node.bias.data<float>()[c]) / scale;
    EXPECT_NEAR(steps, std::nearbyint(steps), 1e-4 + 1e-6 * std::abs(steps)) << node.name;
    EXPECT_EQ(e.at("bitwidth").as_int(), int8 ? 8 : 32);
  }
}

void expect_encodings(const Int8Graph& graph, int weight_bits) {
  const Json j = parse_json(encodings(graph).dump(1));  // as a file holds it
  const Json &activations = j.at("activation_encodings"), &parameters = j.at("param_encodings");
  EXPECT_EQ(j.at("version").as_string(), "0.6.1");
  size_t codes = 0, tensors = 0;
  for (const Int8Node& node : graph.nodes) {
    if (!node.format.real) {
      const Json& e = activations.at(node.name).at(size_t{0});
      EXPECT_EQ(static_cast<float>(e.at("scale").as_double()), node.format.scale) << node.name;
      EXPECT_EQ(e.at("zero_point").as_int(), node.format.zero_point) << node.name;
      EXPECT_EQ(e.at("qmin").as_int(), node.format.lo);
      EXPECT_EQ(e.at("qmax").as_int(), node.format.hi);
      expect_range(e);
      ++codes;
    }
    if (!node.weight.defined()) continue;
    expect_weight(parameters.at(node.name + ".weight"), node, weight_bits);
    expect_bias(parameters.at(node.name + ".bias"), node);
    tensors += 2;
  }
  EXPECT_EQ(activations.size(), codes);
  EXPECT_EQ(parameters.size(), tensors);
  EXPECT_EQ(tensors, 40U);
}

TEST(Encodings, AreTheScalesOfEveryQuantizedTensor) {
  expect_encodings(network("x86", 8, 8), 8);
  expect_encodings(network("quark", 8, 8), 8);
  expect_encodings(network("x86", 4, 4), 4);
}

TEST(Encodings, FourBitActivationsSaySo) {
  const Json j = encodings(network("x86", 4, 4));
  for (const auto& [name, list] : j.at("activation_encodings").as_object())
    EXPECT_LE(list.at(size_t{0}).at("bitwidth").as_int(), 4) << name;
}

TEST(EncodingsFault, TwoTensorsOfOneNameAreRefused) {
  Int8Graph graph = network("x86", 8, 8);
  graph.nodes[3].name = graph.nodes[2].name;
  try {
    (void)encodings(graph);
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find("two tensors are called"), std::string::npos);
  }
}

TEST(EncodingsFault, ABiasScaleThatIsNoneIsNamed) {
  Int8Graph graph = network("quark", 8, 8);
  EXPECT_NO_THROW(graph.validate());
  graph.nodes.back().attributes.set("bias_scale", -1.0);
  try {
    graph.validate();
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find("bias_scale -1"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace stair::qat
