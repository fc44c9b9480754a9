// Annotations of every form, as a quantizer of a user writes them, and what prepare makes of them.
#include "qat/annotation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/add.h"
#include "autograd/ops/concat.h"
#include "autograd/ops/sigmoid.h"
#include "nn/layers/activation.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/linear.h"
#include "nn/layers/pool.h"
#include "qat/composable_quantizer.h"
#include "qat/convert.h"
#include "qat/derived_quantizer.h"
#include "qat/engine_quantizer.h"
#include "qat/int8/session.h"
#include "qat/prepare.h"
#include "qat/subgraph_matcher.h"
#include "tests/qat/small_graphs.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;

// Annotates as a function says.
class Annotating final : public BackendQuantizer {
 public:
  using Function = std::function<void(const Graph&, Annotations&)>;
  explicit Annotating(Function function) : function_(std::move(function)) {}
  void annotate(const Graph& graph, Annotations& annotations) const override {
    function_(graph, annotations);
  }
  std::vector<std::string> quantization_capabilities() const override { return {"embedding_byte"}; }

 private:
  Function function_;
};

int id_of(const Graph& graph, const std::string& name) {
  const Node* node = graph.find(name);
  if (node == nullptr) throw ConfigError("no node " + name);
  return node->id;
}

const Quantizer* quantizer_of(const Graph& graph, const std::string& name) {
  const Node* node = graph.find(name + ".output_quantizer");
  return node ? dynamic_cast<const Quantizer*>(node->module.get()) : nullptr;
}

QuantizationSpec s8_spec() {
  QuantizationSpec spec = activation_spec();
  spec.is_signed = true;
  set_bits(spec, 8);
  return spec;
}

// A convolution with specifications of its input, weight, bias and output.
void annotate_conv(const Graph& graph, const std::string& name, Annotations& annotations) {
  const Node& conv = graph.node(id_of(graph, name));
  QuantizationAnnotation& a = annotations[conv.id];
  a.input_qspec_map = {{conv.inputs[0], s8_spec()}, {conv.inputs[1], weight_spec()}};
  if (conv.inputs.size() > 2)
    a.input_qspec_map.emplace(conv.inputs[2],
                              bias_spec({conv.inputs[0], conv.id}, {conv.inputs[1], conv.id}));
  a.output_qspec = s8_spec();
  a.annotated = true;
}

// conv1 and conv2 of the input, joined; conv3 of that.
class Joined final : public nn::Module {
 public:
  explicit Joined(bool sum) : sum_(sum) {
    for (int i = 0; i < 3; ++i)
      conv_[i] = register_module(str("conv", i + 1), small_conv(i < 2 ? 3 : sum ? 4 : 8, 4));
  }
  Variable forward(const Variable& x) override {
    const Variable a = (*conv_[0])(x), b = (*conv_[1])(x);
    return (*conv_[2])(sum_ ? autograd::add(a, b) : autograd::concat({a, b}, 3));
  }

 private:
  bool sum_;
  std::shared_ptr<nn::Module> conv_[3];
};

// Runs batches in training mode, so that all observers know their ranges.
void calibrate_on(nn::GraphModule& model) {
  const autograd::NoGrad no_grad;
  model.train();
  for (uint64_t i = 0; i < 3; ++i) (void)model(Variable(normal({2, 6, 6, 3}, i)));
  model.eval();
}

TEST(Annotation, OfACommonPatternQuantizesItsInputsAndItsOutput) {
  Joined model(true);
  const Graph graph = graph_of(model);
  const Annotating quantizer([](const Graph& g, Annotations& annotations) {
    const Node& add = g.node(id_of(g, "add"));
    annotations[add.id] = {
        {{add.inputs[0], s8_spec()}, {add.inputs[1], s8_spec()}}, s8_spec(), true, ""};
  });
  const Prepared prepared = prepare_qat(graph, quantizer);
  for (const char* name : {"conv1.conv2d", "conv2.conv2d", "add"})
    EXPECT_NE(quantizer_of(prepared.graph, name), nullptr) << name;
  EXPECT_NE(quantizer_of(prepared.graph, "conv1.conv2d"),
            quantizer_of(prepared.graph, "conv2.conv2d"));
  EXPECT_EQ(quantizer_of(prepared.graph, "input"), nullptr);
  EXPECT_NE(to_string(prepared.report).find("float  conv3.conv2d (conv2d): no quantizer"),
            std::string::npos)
      << to_string(prepared.report);
}

// The seed's example: both inputs of add share, so add's inputs have one observer.
TEST(Annotation, SharedInputsHaveOneQuantizer) {
  Joined model(true);
  const Graph graph = graph_of(model);
  const Annotating quantizer([](const Graph& g, Annotations& annotations) {
    const Node& add = g.node(id_of(g, "add"));
    const SharedQuantizationSpec shared{{add.inputs[0], add.id}};
    annotations[add.id] = {
        {{add.inputs[0], s8_spec()}, {add.inputs[1], shared}}, s8_spec(), true, ""};
  });
  const Graph prepared = prepare_qat(graph, quantizer).graph;
  EXPECT_NE(quantizer_of(prepared, "conv1.conv2d"), nullptr);
  EXPECT_EQ(quantizer_of(prepared, "conv1.conv2d"), quantizer_of(prepared, "conv2.conv2d"));
  EXPECT_NE(quantizer_of(prepared, "conv1.conv2d"), quantizer_of(prepared, "add"));
}

// The outputs of the convolutions share with the edges to cat, because their specifications are
// equal; the edges share because the second says so: all are one.
Annotating sharing_through_cat() {
  return Annotating([](const Graph& g, Annotations& annotations) {
    for (const char* name : {"conv1.conv2d", "conv2.conv2d", "conv3.conv2d"})
      annotate_conv(g, name, annotations);
    annotations[g.output()].output_qspec.reset();
    const Node& cat = g.node(id_of(g, "concat"));
    annotations[cat.id] = {{{cat.inputs[0], s8_spec()},
                            {cat.inputs[1], SharedQuantizationSpec{{cat.inputs[0], cat.id}}}},
                           SharedQuantizationSpec{{cat.inputs[0], cat.id}},
                           true,
                           ""};
  });
}

TEST(Annotation, SharingIsTransitiveThroughEdgesAndOutputs) {
  Joined model(false);
  const Prepared prepared = prepare_qat(graph_of(model), sharing_through_cat());
  EXPECT_NE(quantizer_of(prepared.graph, "conv1"), nullptr);
  EXPECT_EQ(quantizer_of(prepared.graph, "conv1"), quantizer_of(prepared.graph, "conv2"));
  EXPECT_EQ(quantizer_of(prepared.graph, "concat"), nullptr) << "concat hands the codes on";
  nn::GraphModule trained(prepared.graph);
  calibrate_on(trained);
  // One observer saw both: its range holds the larger of the two.
  trained.set_observer([](const Node& node, const Variable& value) {
    if (node.op == "concat") {
      EXPECT_TRUE(value.quantized());
    }
  });
  (void)run(trained, normal({2, 6, 6, 3}, 1));
}

TEST(Annotation, SharedQuantizersStaySharedInCopies) {
  Joined model(false);
  nn::GraphModule trained(prepare_qat(graph_of(model), sharing_through_cat()).graph);
  calibrate_on(trained);
  const auto copy = std::static_pointer_cast<nn::GraphModule>(trained.clone());
  EXPECT_EQ(quantizer_of(copy->graph(), "conv1"), quantizer_of(copy->graph(), "conv2"));
  EXPECT_NE(quantizer_of(copy->graph(), "conv1"), quantizer_of(trained.graph(), "conv1"));
  const Tensor x = normal({2, 6, 6, 3}, 5);
  expect_equal(run(*copy, x), run(trained, x), "copy");
}

TEST(Annotation, FixedParametersNeedNoCalibration) {
  class Net final : public nn::Module {
   public:
    Variable forward(const Variable& x) override { return autograd::sigmoid(x); }
  } model;
  const Graph graph = graph_of(model);
  const FixedQParamsQuantizationSpec fixed{1.0F / 256, 0, false, 0, 255};
  const Annotating quantizer([&](const Graph& g, Annotations& annotations) {
    annotations[g.output()] = {{{g.input(), fixed}}, fixed, true, ""};
  });
  nn::GraphModule prepared(prepare_qat(graph, quantizer).graph);
  prepared.eval();
  Tensor x = normal({1, 2, 2, 1}, 3);
  const Tensor y = run(prepared, x);
  ASSERT_EQ(y.dtype(), DType::f32);
  for (int64_t i = 0; i < x.numel(); ++i) {
    const float in = std::min(std::max(std::nearbyint(x.data<float>()[i] * 256), 0.0F), 255.0F);
    const float out = 1 / (1 + std::exp(-in / 256));
    EXPECT_FLOAT_EQ(y.data<float>()[i], std::min(std::nearbyint(out * 256), 255.0F) / 256);
  }
}

// add's output has twice the scale of its first input.
TEST(AnnotationExact, DerivedParametersFollowTheirSourcesIntoTheInt8Graph) {
  Joined model(true);
  const Graph graph = graph_of(model);
  const Annotating quantizer([](const Graph& g, Annotations& annotations) {
    for (const char* name : {"conv1.conv2d", "conv2.conv2d", "conv3.conv2d"})
      annotate_conv(g, name, annotations);
    annotations[g.output()].output_qspec.reset();
    const Node& add = g.node(id_of(g, "add"));
    annotations[g.output()].input_qspec_map.at(add.id) = SharedQuantizationSpec{{add.id}};
    const EdgeOrNode first{add.inputs[0], add.id};
    annotations[add.id] = {
        {{add.inputs[0], s8_spec()}, {add.inputs[1], s8_spec()}},
        DerivedQuantizationSpec{{first},
                                [](std::span<const QParams> from) {
                                  return QParams{{2 * from[0].scale[0]}, from[0].zero_point};
                                }},
        true,
        ""};
  });
  nn::GraphModule trained(prepare_qat(graph, quantizer).graph);
  calibrate_on(trained);
  float first = 0, sum = 0;
  trained.set_observer([&](const Node& node, const Variable& value) {
    if (node.name == "conv1.output_quantizer") first = value.value().qparams().scale[0];
    if (node.name == "add.output_quantizer") sum = value.value().qparams().scale[0];
  });
  const Tensor x = normal({2, 6, 6, 3}, 7);
  const Tensor y = run(trained, x);
  EXPECT_EQ(sum, 2 * first);
  expect_equal(Int8Session(convert(trained.graph())).run(x), y, "int8");
}

TEST(Annotation, ABiasWithAnyOtherDerivationIsRefused) {
  Joined model(true);
  const Graph graph = graph_of(model);
  const Annotating quantizer([](const Graph& g, Annotations& annotations) {
    annotate_conv(g, "conv1.conv2d", annotations);
    const Node& conv = g.node(id_of(g, "conv1.conv2d"));
    auto spec = bias_spec({conv.inputs[0], conv.id}, {conv.inputs[1], conv.id});
    spec.derive_qparams_fn = [](std::span<const QParams> from) {
      return QParams{{from[0].scale[0]}, {0}};
    };
    annotations[conv.id].input_qspec_map.at(conv.inputs[2]) = spec;
  });
  expect_config_error([&] { (void)prepare_qat(graph, quantizer); }, {"conv1", "bias", "product"});
}

TEST(AnnotationFault, ContradictionsNameThePlaces) {
  Joined model(true);
  const Graph graph = graph_of(model);
  const auto prepare_with = [&](const Annotating::Function& f) {
    (void)prepare_qat(graph, Annotating(f));
  };
  const int add = id_of(graph, "add"), conv1 = id_of(graph, "conv1.conv2d");
  const SharedQuantizationSpec with_output{{add}}, with_edge{{conv1, add}};
  expect_config_error(
      [&] {
        prepare_with([&](const Graph&, Annotations& a) {
          a[add].input_qspec_map = {{conv1, with_output}};
        });
      },
      {"edge from 'conv1.conv2d' to 'add'", "value of 'add'", "not annotated"});
  expect_config_error(
      [&] {
        prepare_with([&](const Graph&, Annotations& a) {
          a[add].input_qspec_map = {{conv1, with_output}};
          a[add].output_qspec = with_edge;
        });
      },
      {"circle"});
  expect_config_error(
      [&] {
        prepare_with([&](const Graph& g, Annotations& a) {
          a[add].input_qspec_map = {{g.input(), s8_spec()}};
        });
      },
      {"'add'", "none of its inputs"});
}

TEST(Annotation, AGraphIsPreparedOnce) {
  Joined model(true);
  const Prepared prepared = prepare_qat(graph_of(model), x86_config());
  expect_config_error([&] { (void)prepare_qat(prepared.graph, x86_config()); },
                      {"quantizer already", "once"});
}

// Readers that want other integers than their producer hands out.
TEST(Annotation, AnEdgeOfItsOwnIsQuantizedAnew) {
  Joined model(true);
  const Graph graph = graph_of(model);
  const Annotating quantizer([](const Graph& g, Annotations& annotations) {
    annotate_conv(g, "conv1.conv2d", annotations);
    const Node& add = g.node(id_of(g, "add"));
    annotations[add.id] = {{{add.inputs[0], activation_spec(4)}}, std::nullopt, true, ""};
  });
  nn::GraphModule model4(prepare_qat(graph, quantizer).graph);
  calibrate_on(model4);
  std::set<int> bits;
  for (const Node& node : model4.graph().nodes())
    if (const auto* q = dynamic_cast<const Quantizer*>(node.module.get()))
      bits.insert(q->spec().bits);
  EXPECT_EQ(bits, (std::set<int>{4, 8}));
  (void)run(model4, normal({2, 6, 6, 3}, 2));
}

TEST(ComposableQuantizer, TheFirstThatAnnotatesANodeWins) {
  Joined model(true);
  const Graph graph = graph_of(model);
  const auto greedy = std::make_shared<Annotating>([](const Graph& g, Annotations& annotations) {
    annotate_conv(g, "conv1.conv2d", annotations);
  });
  EngineQuantizer weights4;
  QuantizationConfig config = x86_config(4);
  config.first_last_8_bits = false;
  weights4.set_global(config);
  const auto engine = std::make_shared<EngineQuantizer>(weights4);
  const auto bits_of_conv1 = [&](const ComposableQuantizer& q, std::string* report = nullptr) {
    const Prepared prepared = prepare_qat(graph, q);
    if (report) *report = to_string(prepared.report);
    return dynamic_cast<QatConv&>(*prepared.graph.find("conv1")->module)
        .weight_quantizer()
        .spec()
        .bits;
  };
  std::string report;
  EXPECT_EQ(bits_of_conv1(ComposableQuantizer({greedy, engine})), 8);
  EXPECT_EQ(bits_of_conv1(ComposableQuantizer({engine, greedy}), &report), 4);
  EXPECT_NE(report.find("conv1.conv2d (conv2d): weights ste s8 4 bits symmetric per channel; "
                        "quantizer 1 wanted it too"),
            std::string::npos)
      << report;
  const auto can = ComposableQuantizer({engine, greedy}).quantization_capabilities();
  EXPECT_EQ(can.front(), "conv2d");
  EXPECT_EQ(can.back(), "embedding_byte");
}

TEST(SubgraphMatcher, NamesTheNodesOfEveryMatch) {
  class ConvRelu final : public nn::Module {
   public:
    ConvRelu() {
      conv_ = register_module("conv", small_conv(3, 1));
      relu_ = register_module("relu", std::make_shared<nn::ReLU>());
    }
    Variable forward(const Variable& x) override { return (*relu_)((*conv_)(x)); }

   private:
    std::shared_ptr<nn::Module> conv_, relu_;
  } pattern;
  class Net final : public nn::Module {
   public:
    Net() {
      for (int i = 0; i < 3; ++i)
        conv_[i] = register_module(str("conv", i), small_conv(i == 0 ? 3 : 4, 4));
      relu_ = register_module("relu", std::make_shared<nn::ReLU>());
    }
    // The value of conv1 has two readers, the input of the second match, too.
    Variable forward(const Variable& x) override {
      const Variable a = (*relu_)((*conv_[0])(x));
      const Variable c = (*conv_[1])(a);
      return autograd::add(autograd::add((*relu_)(c), c), (*relu_)((*conv_[2])(a)));
    }

   private:
    std::shared_ptr<nn::Module> conv_[3], relu_;
  } model;
  const Graph graph = graph_of(model);
  const auto matches = match_subgraph(graph, graph_of(pattern));
  ASSERT_EQ(matches.size(), 2U);
  EXPECT_EQ(graph.node(matches[0].at("conv.conv2d")).path, "conv0");
  EXPECT_EQ(graph.node(matches[0].at("conv.weight")).name, "conv0.weight");
  EXPECT_EQ(matches[0].at("input"), graph.input());
  EXPECT_EQ(graph.node(matches[1].at("conv.conv2d")).path, "conv2");
  EXPECT_EQ(matches[1].at("input"), matches[0].at("relu.relu"));
  expect_config_error([&] { (void)matches[0].at("bn"); }, {"'bn'", "conv.conv2d"});
}

}  // namespace
}  // namespace stair::qat
