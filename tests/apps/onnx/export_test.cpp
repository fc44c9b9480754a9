// What an exported file says.
#include "apps/onnx/export.h"

#include <gtest/gtest.h>
#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

#include <set>

#include "apps/onnx/onnx_model.h"
#include "nn/graph/capture.h"
#include "nn/model.h"
#include "tests/apps/onnx/read_qdq.h"
#include "tests/apps/onnx/small_network.h"

namespace stair::apps {
namespace {

constexpr OnnxForm kForms[] = {OnnxForm::qdq, OnnxForm::qoperator, OnnxForm::exact};
// Those whose scales and limits ONNX's own quantization holds.
constexpr OnnxForm kUsualForms[] = {OnnxForm::qdq, OnnxForm::qoperator};

void expect_valid(const onnx::ModelProto& model) {
  EXPECT_NO_THROW(onnx::checker::check_model(model));
  onnx::ModelProto inferred = model;
  const onnx::ShapeInferenceOptions strict(true, 1, false);
  EXPECT_NO_THROW(
      onnx::shape_inference::InferShapes(inferred, onnx::OpSchemaRegistry::Instance(), strict));
}

std::string fact(const onnx::ModelProto& model, const std::string& key) {
  for (const auto& entry : model.metadata_props())
    if (entry.key() == key) return entry.value();
  return "none";
}

// A network of one convolution whose result is codes.
qat::Int8Graph one_convolution() {
  qat::Int8Graph graph = small_network("resnet20", 1, 16);
  graph.nodes.resize(3);
  return graph;
}

TEST(OnnxExport, EveryFormIsValid) {
  for (const char* name : {"resnet20", "resnet18", "mobilenet_v2", "mobilenet_v3_small"})
    for (int bits : {8, 4}) {
      const qat::Int8Graph graph = small_network(name, 0.25, 32, bits);
      for (OnnxForm form : kForms)
        for (int64_t opset : {13, 17}) {
          OnnxOptions options;
          options.form = form;
          options.opset = opset;
          SCOPED_TRACE(str(name, ' ', bits, ' ', form == OnnxForm::qdq, ' ', opset));
          const onnx::ModelProto model = parse_onnx(to_onnx(graph, options));
          EXPECT_EQ(model.opset_import(0).version(), opset);
          expect_valid(model);
        }
    }
}

TEST(OnnxExport, FloatNetworksAreValid) {
  for (const char* name : {"resnet20", "resnet18", "mobilenet_v2", "mobilenet_v3_small"}) {
    SCOPED_TRACE(name);
    nn::ModelOptions options;
    options.width = 0.5;
    const auto model = nn::find_model(name).build(options);
    const nn::Graph graph = nn::capture(*model, autograd::Variable(drawn_pictures(1, 32, 1)));
    const onnx::ModelProto onnx = parse_onnx(to_onnx(graph, {{"model", std::string(name)}}, {}));
    expect_valid(onnx);
    EXPECT_EQ(fact(onnx, "model"), name);
    EXPECT_EQ(onnx.graph().input(0).type().tensor_type().shape().dim(3).dim_value(), 32);
  }
}

TEST(OnnxExport, SaysHowPicturesAreMadeAndWhatTheClassesAre) {
  const onnx::ModelProto model = parse_onnx(to_onnx(small_network("resnet20", 1, 16)));
  EXPECT_EQ(model.ir_version(), 7);
  EXPECT_EQ(model.producer_name(), "stair");
  EXPECT_FALSE(model.producer_version().empty());
  EXPECT_EQ(fact(model, "model"), "resnet20");
  EXPECT_EQ(fact(model, "crop_size"), "16");
  EXPECT_EQ(fact(model, "mean_0"), "0.485");
  EXPECT_EQ(fact(model, "std_2"), "0.225");
  // Nothing in a name can act on a terminal.
  EXPECT_EQ(fact(model, "class_names"), R"(["ape","bee \\x1b[31m","cat"])");
  const auto& input = model.graph().input(0).type().tensor_type().shape();
  EXPECT_EQ(model.graph().input(0).name(), "input");
  EXPECT_EQ(input.dim(0).dim_param(), "N");
  EXPECT_EQ(input.dim(1).dim_value(), 3);
  EXPECT_EQ(input.dim(3).dim_value(), 16);
  EXPECT_EQ(model.graph().output(0).name(), "logits");
  EXPECT_EQ(model.graph().output(0).type().tensor_type().shape().dim(1).dim_value(), 10);
}

TEST(OnnxExport, WeightsAreIntegersOfZeroPointZeroPerChannel) {
  const qat::Int8Graph graph = small_network("resnet20", 1, 16);
  for (OnnxForm form : kUsualForms) {
    OnnxOptions options;
    options.form = form;
    const onnx::ModelProto model = parse_onnx(to_onnx(graph, options));
    EXPECT_EQ(constant_of(model, "layer1.0.conv1_weight").dtype(), DType::s8);
    EXPECT_EQ(constant_of(model, "layer1.0.conv1_weight").shape(), Shape({16, 16, 3, 3}));
    EXPECT_EQ(constant_of(model, "layer1.0.conv1_bias").dtype(), DType::s32);
    const Tensor zero = constant_of(model, "layer1.0.conv1_weight_zero_point");
    ASSERT_EQ(zero.shape(), Shape({16}));
    for (int64_t c = 0; c < 16; ++c) EXPECT_EQ(zero.data<int8_t>()[c], 0);
  }
}

TEST(OnnxExport, IntegerOperationsStandInTheQoperatorForm) {
  OnnxOptions options;
  options.form = OnnxForm::qoperator;
  const auto counts = node_counts(parse_onnx(to_onnx(small_network("resnet20", 1, 16), options)));
  EXPECT_EQ(counts.at("QLinearConv"), 19);
  EXPECT_EQ(counts.at("MatMulInteger"), 1);
  EXPECT_FALSE(counts.contains("Conv"));
}

TEST(OnnxExport, TheExactFormQuantizesByItself) {
  for (const char* name : {"resnet20", "mobilenet_v3_small"}) {
    OnnxOptions options;
    options.form = OnnxForm::exact;
    const auto counts = node_counts(parse_onnx(to_onnx(small_network(name, 0.5, 32), options)));
    EXPECT_GT(counts.at("ConvInteger"), 10);
    for (const char* op : {"Conv", "QLinearConv", "QuantizeLinear", "GlobalAveragePool", "Sigmoid"})
      EXPECT_FALSE(counts.contains(op)) << op;
  }
}

TEST(OnnxExport, CodesThatStopInsideTheirTypeAreClipped) {
  qat::Int8Graph graph = one_convolution();
  for (OnnxForm form : kUsualForms) {
    OnnxOptions options;
    options.form = form;
    graph.nodes[2].format.hi = 255;
    graph.nodes[2].format.lo = 0;
    EXPECT_FALSE(node_counts(parse_onnx(to_onnx(graph, options))).contains("Clip"));
    graph.nodes[2].format.hi = 15;
    const onnx::ModelProto model = parse_onnx(to_onnx(graph, options));
    EXPECT_EQ(node_counts(model).at("Clip"), 1);
    EXPECT_EQ(constant_of(model, "conv1_highest").item<uint8_t>(), 15);
    expect_valid(model);
  }
}

TEST(OnnxExport, NamesAreMadeUniqueAndPrintable) {
  qat::Int8Graph graph = one_convolution();
  graph.nodes[1].name = "";
  graph.nodes[2].name = "input";
  const onnx::ModelProto model = parse_onnx(to_onnx(graph));
  std::set<std::string> names;
  for (const onnx::NodeProto& node : model.graph().node()) {
    EXPECT_FALSE(node.name().empty());
    EXPECT_TRUE(names.insert(node.output(0)).second) << node.output(0);
  }
  expect_valid(model);
  graph.nodes[2].name = "bad \xff\x1b name";
  EXPECT_NE(to_onnx(graph).find("bad \\xff\\x1b name_quantized"), std::string::npos);
}

TEST(OnnxExport, ABiasBeyond32BitsStaysReal) {
  qat::Int8Graph graph = one_convolution();
  graph.nodes[2].bias = graph.nodes[2].bias.clone();
  graph.nodes[2].bias.data<float>()[3] = 1e30F;
  std::vector<std::string> notes;
  OnnxOptions options;
  options.notes = &notes;
  const onnx::ModelProto model = parse_onnx(to_onnx(graph, options));
  EXPECT_EQ(constant_of(model, "conv1_bias").dtype(), DType::f32);
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_EQ(notes[0], "'conv1' keeps a real bias: it has too many steps for 32 bits");
}

TEST(OnnxExport, Int4TakesHalfAsMuchForWeightsOfFourBits) {
  const qat::Int8Graph graph = small_network("resnet20", 1, 16, 4);
  OnnxOptions options;
  options.opset = 21;
  const std::string wide = to_onnx(graph, options);
  options.int4 = true;
  const std::string narrow = to_onnx(graph, options);
  EXPECT_LT(narrow.size(), wide.size() - 120'000);  // of 270,000 weights
  int int4 = 0, int8 = 0;
  const onnx::ModelProto model = parse_onnx(narrow);
  for (const onnx::TensorProto& t : model.graph().initializer())
    if (t.name() == "layer1.0.conv1_weight") {
      EXPECT_EQ(t.data_type(), 22);
      EXPECT_EQ(t.raw_data().size(), 16U * 16 * 9 / 2);
      ++int4;
    } else if (t.name() == "conv1_weight") {
      EXPECT_EQ(t.data_type(), onnx::TensorProto::INT8);  // the first layer keeps 8 bits
      ++int8;
    }
  EXPECT_EQ(int4, 1);
  EXPECT_EQ(int8, 1);
}

TEST(OnnxExport, FlattenKeepsOurOrderOfFeatures) {
  qat::Int8Graph graph = one_convolution();
  qat::Int8Node flatten;
  flatten.op = flatten.name = "flatten";
  flatten.inputs = {2};
  flatten.format = graph.nodes[2].format;
  graph.nodes.push_back(flatten);
  for (OnnxForm form : kUsualForms) {
    OnnxOptions options;
    options.form = form;
    const onnx::ModelProto model = parse_onnx(to_onnx(graph, options));
    EXPECT_EQ(node_counts(model).at("Transpose"), 1);
    expect_valid(model);
  }
}

template <class E>
void expect_refused(const std::function<void()>& action, const std::string& says) {
  try {
    action();
    FAIL() << "accepted: " << says;
  } catch (const E& error) {
    EXPECT_NE(std::string(error.what()).find(says), std::string::npos) << error.what();
  }
}

TEST(OnnxExportFault, SaysWhichNodeAndWhy) {
  qat::Int8Graph graph = one_convolution();
  OnnxOptions integers;
  integers.form = OnnxForm::qoperator;
  graph.nodes[2].bias = graph.nodes[2].bias.clone();
  graph.nodes[2].bias.data<float>()[3] = 1e30F;
  expect_refused<FormatError>(
      [&] { to_onnx(graph, integers); },
      "'conv1' has a bias of too many steps for the 32 bits of QLinearConv");
  integers.bias = OnnxBias::real;
  expect_refused<ConfigError>([&] { to_onnx(graph, integers); }, "QLinearConv has no real bias");
  OnnxOptions old;
  old.opset = 12;
  expect_refused<ConfigError>([&] { to_onnx(graph, old); }, "operator set 12 is not one of 13 to");
  graph.nodes[2].op = "sigmoid";
  OnnxOptions int4;
  int4.int4 = true;
  expect_refused<ConfigError>([&] { to_onnx(graph, int4); }, "operator set 21");
  expect_refused<FormatError>([&] { to_onnx(graph); }, "node 'conv1': no operation is called");
}

TEST(OnnxExportFault, AModelBeyondTheLimitIsRefusedBeforeItIsWritten) {
  OnnxModel model(13);
  model.constant("weight", Tensor::zeros({1000}, DType::f32));
  EXPECT_GT(model.bytes(5000).size(), 4000U);
  expect_refused<FormatError>([&] { model.bytes(4000); }, "a file holds at most 4000");
}

}  // namespace
}  // namespace stair::apps
