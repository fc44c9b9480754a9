#include "qat/prepare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "autograd/ops/add.h"
#include "core/random.h"
#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/graph/print.h"
#include "nn/layers/activation.h"
#include "nn/layers/batch_norm2d.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/dropout.h"
#include "nn/layers/linear.h"
#include "nn/layers/pool.h"
#include "nn/layers/sequential.h"
#include "nn/model.h"
#include "nn/state_dict.h"
#include "qat/engine_quantizer.h"

namespace stair::qat {
namespace {

Tensor normal(const Shape& shape, uint64_t seed) {
  Tensor t = Tensor::empty(shape, DType::f32);
  Random random(seed);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = random.normal();
  return t;
}

// conv1 is read by its batch norm or, when `shared`, also by the sum; so is the ReLU of the second.
class Net final : public nn::Module {
 public:
  explicit Net(bool shared, bool relu6 = false) : shared_(shared) {
    const nn::ConvConfig window = nn::square_window(3, 1, 1);
    conv1_ = register_module("conv1", std::make_shared<nn::Conv2d>(3, 4, window));
    bn1_ = register_module("bn1", std::make_shared<nn::BatchNorm2d>(4));
    conv2_ = register_module("conv2", std::make_shared<nn::Conv2d>(4, 4, window));
    if (relu6)
      act_ = register_module("act", std::make_shared<nn::ReLU6>());
    else
      act_ = register_module("act", std::make_shared<nn::ReLU>());
    pool_ = register_module("pool", std::make_shared<nn::GlobalAvgPool>());
    flatten_ = register_module("flatten", std::make_shared<nn::Flatten>());
    fc_ = register_module("fc", std::make_shared<nn::Linear>(4, 2));
  }

  Variable forward(const Variable& x) override {
    const Variable c1 = (*conv1_)(x);
    const Variable a1 = (*act_)((*bn1_)(c1));
    const Variable c2 = (*conv2_)(a1);
    const Variable a2 = (*act_)(c2);
    const Variable sum = shared_ ? autograd::add(autograd::add(a2, c2), autograd::add(a1, c1))
                                 : autograd::add(a1, a2);
    return (*fc_)((*flatten_)((*pool_)(sum)));
  }

 private:
  bool shared_;
  std::shared_ptr<nn::Module> conv1_, bn1_, conv2_, act_, pool_, flatten_, fc_;
};

nn::Graph graph_of(nn::Module& model, const Shape& input = {2, 6, 6, 3}) {
  return nn::capture(model, Variable(normal(input, 1)));
}

Tensor run(nn::Module& model, const Tensor& x) {
  const autograd::NoGrad no_grad;
  return model(Variable(x)).value();
}

std::set<std::string> names_of(const std::vector<nn::NamedVariable>& state) {
  std::set<std::string> names;
  for (const nn::NamedVariable& v : state) names.insert(v.name);
  return names;
}

TEST(Prepare, LeavesTheInputGraphAsItIs) {
  Net net(false);
  const nn::Graph graph = graph_of(net);
  const std::string text = nn::to_text(graph);
  nn::GraphModule before(graph);
  before.eval();
  const Tensor x = normal({2, 6, 6, 3}, 2), y = run(before, x);
  nn::GraphModule prepared(prepare_qat(graph, x86_config()).graph);
  prepared.eval();
  EXPECT_EQ(nn::to_text(graph), text);
  nn::GraphModule after(graph);
  after.eval();
  const Tensor again = run(after, x);
  for (int64_t i = 0; i < y.numel(); ++i) EXPECT_EQ(again.data<float>()[i], y.data<float>()[i]);
}

TEST(Prepare, ReportsEveryOperationOnce) {
  for (bool shared : {false, true}) {
    Net net(shared);
    const nn::Graph graph = graph_of(net);
    const Prepared prepared = prepare_qat(graph, x86_config());
    std::multiset<std::string> told, there;
    for (const NodeReport& line : prepared.report) {
      told.insert(line.name);
      EXPECT_NE(line.how, "") << line.name;
      EXPECT_NE(to_string(prepared.report).find(line.name), std::string::npos);
    }
    for (const nn::Node& node : graph.nodes())
      if (!node.is_state()) there.insert(node.name);
    EXPECT_EQ(told, there) << to_string(prepared.report);
  }
}

// With all fake-quant off, the prepared network is the float network: no branch was lost.
TEST(Prepare, ComputesTheFloatNetworkWithFakeQuantOff) {
  for (bool shared : {false, true})
    for (bool relu6 : {false, true}) {
      Net net(shared, relu6);
      const nn::Graph graph = graph_of(net);
      nn::GraphModule prepared(prepare_qat(graph, x86_config()).graph);
      enable_fake_quant(prepared, false);
      prepared.eval();
      net.eval();
      Tensor x = normal({2, 6, 6, 3}, 3);
      for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] *= 20;
      const Tensor y = run(prepared, x), want = run(net, x);
      for (int64_t i = 0; i < y.numel(); ++i)
        EXPECT_NEAR(y.data<float>()[i], want.data<float>()[i],
                    1e-4 * (1 + std::abs(want.data<float>()[i])))
            << (shared ? "shared " : "") << (relu6 ? "relu6" : "relu");
    }
}

TEST(Prepare, FusesOnlyWhatHasOneReader) {
  Net plain(false), shared(true);
  const auto count = [](const nn::Graph& graph, const std::string& op) {
    int found = 0;
    for (const nn::Node& node : graph.nodes()) found += node.op == op;
    return found;
  };
  const nn::Graph fused = prepare_qat(graph_of(plain), x86_config()).graph;
  EXPECT_EQ(count(fused, "batch_norm"), 0);
  EXPECT_EQ(count(fused, "relu"), 0);
  const nn::Graph kept = prepare_qat(graph_of(shared), x86_config()).graph;
  EXPECT_EQ(count(kept, "batch_norm"), 1);
  EXPECT_EQ(count(kept, "relu"), 2);
}

TEST(Prepare, AFusedRelu6EndsAtSix) {
  Net net(false, true);
  nn::GraphModule model(prepare_qat(graph_of(net), x86_config()).graph);
  int found = 0;
  for (const nn::Node& node : model.graph().nodes()) {
    EXPECT_NE(node.op, "relu6");
    const auto* quantizer = dynamic_cast<const Quantizer*>(node.module.get());
    if (quantizer == nullptr || quantizer->activation() != Activation::relu6) continue;
    ++found;
    Tensor x = normal({2, 6, 6, 4}, 5);
    for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] *= 20;
    const Variable q = (*node.module)(Variable(x));
    EXPECT_FLOAT_EQ(quantizer->qparams().scale[0], 6.0F / 255);
    EXPECT_EQ(quantizer->code_range(), (std::pair<int32_t, int32_t>{0, 255}));
  }
  EXPECT_EQ(found, 2);
}

TEST(Prepare, KeepsTheNamesOfTheStateDictAndAddsThoseOfQuantizers) {
  Net net(false);
  nn::GraphModule model(prepare_qat(graph_of(net), x86_config()).graph);
  const std::set<std::string> before = names_of(net.named_state());
  const std::set<std::string> after = names_of(model.named_state());
  for (const std::string& name : before) EXPECT_TRUE(after.contains(name)) << name;
  for (const std::string& name : after) {
    if (before.contains(name)) continue;
    EXPECT_TRUE(name.find("quantizer.") != std::string::npos || name.ends_with(".bn_frozen"))
        << name;
  }
  EXPECT_EQ(names_of(model.named_parameters()), names_of(net.named_parameters()));
}

TEST(Prepare, SharesTheParametersWithTheModel) {
  Net net(false);
  nn::GraphModule model(prepare_qat(graph_of(net), x86_config()).graph);
  for (const nn::NamedVariable& mine : model.named_parameters())
    for (const nn::NamedVariable& theirs : net.named_parameters())
      if (mine.name == theirs.name) {
        EXPECT_EQ(mine.variable.id(), theirs.variable.id());
      }
}

// K products of at most 255 * 128 each: 65793 of them still fit 32 bits.
int bits_of(const nn::Graph& graph, const std::string& quantizer) {
  for (const nn::Node& node : graph.nodes())
    if (node.name == quantizer) return dynamic_cast<const Quantizer&>(*node.module).spec().bits;
  return 0;
}

TEST(Prepare, KeepsEightBitsAtBothEndsAndBeforeAdditions) {
  const auto model = nn::find_model("resnet20").build({});
  const nn::Graph graph = graph_of(*model, {1, 32, 32, 3});
  QuantizationConfig config = x86_config(4, 3);
  const nn::Graph kept = prepare_qat(graph, config).graph;
  config.first_last_8_bits = config.add_operands_8_bits = false;
  const nn::Graph all = prepare_qat(graph, config).graph;
  EXPECT_EQ(bits_of(kept, "layer1.0.conv1.output_quantizer"), 3);
  EXPECT_EQ(bits_of(kept, "layer1.0.add.output_quantizer"), 3);
  for (const char* name : {"layer1.0.conv2.output_quantizer", "input.output_quantizer"}) {
    EXPECT_EQ(bits_of(kept, name), 8) << name;
    EXPECT_EQ(bits_of(all, name), 3) << name;
  }
}

TEST(Prepare, RefusesALayerWhoseSumCouldPass32Bits) {
  const auto prepare = [](int64_t k) {
    nn::Sequential model({std::make_shared<nn::Linear>(k, 1, false)});
    (void)prepare_qat(graph_of(model, {1, k}), x86_config());
  };
  EXPECT_NO_THROW(prepare(65793));
  try {
    prepare(65794);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.exit_code(), 2);
    const std::string message = error.what();
    EXPECT_NE(message.find("'0"), std::string::npos) << message;
    EXPECT_NE(message.find("K = 65794"), std::string::npos) << message;
    EXPECT_NE(message.find("65793"), std::string::npos) << message;
  }
}

TEST(Prepare, WithoutTrainingFoldsBatchNormFirst) {
  Net net(false);
  const nn::Graph graph = graph_of(net);
  const nn::Graph prepared = prepare(graph, EngineQuantizer(x86_config())).graph;
  for (const nn::Node& node : prepared.nodes())
    if (auto* conv = dynamic_cast<QatConv*>(node.module.get())) {
      EXPECT_FALSE(conv->options().batch_norm) << node.name;
    }
  EXPECT_NE(graph.find("bn1.batch_norm"), nullptr);
  EXPECT_EQ(prepared.find("bn1.weight"), nullptr);
}

// Switching between training and evaluation changes neither dropout's p nor batch norm's eps and
// momentum, in the graph and in what is folded.
TEST(Prepare, ModesKeepEveryAttribute) {
  class Tuned final : public nn::Module {
   public:
    Tuned() {
      conv_ = register_module("conv", std::make_shared<nn::Conv2d>(3, 4, nn::ConvConfig{}));
      bn_ = register_module("bn", std::make_shared<nn::BatchNorm2d>(4, 0.3, 1e-3));
      alone_ = register_module("alone", std::make_shared<nn::BatchNorm2d>(3, 0.7, 1e-2));
      drop_ = register_module("drop", std::make_shared<nn::Dropout>(0.4));
    }
    Variable forward(const Variable& x) override {
      return (*bn_)((*conv_)((*drop_)((*alone_)(x))));
    }

   private:
    std::shared_ptr<nn::Module> conv_, bn_, alone_, drop_;
  } net;
  nn::GraphModule model(prepare_qat(graph_of(net), x86_config()).graph);
  const std::string before = nn::to_text(model.graph());
  for (bool training : {true, false, true}) {
    model.train(training);
    (void)run(model, normal({2, 6, 6, 3}, 1));
  }
  EXPECT_EQ(nn::to_text(model.graph()), before);
  EXPECT_NE(before.find("p=0.4"), std::string::npos) << before;
  EXPECT_NE(before.find("momentum=0.7"), std::string::npos) << before;
  const auto& conv = dynamic_cast<QatConv&>(*model.graph().find("conv")->module);
  EXPECT_EQ(conv.options().eps, 1e-3);
  EXPECT_EQ(conv.options().momentum, 0.3);
}

TEST(Prepare, TheSizesOfTheInputStayHeld) {
  Net net(false);
  const nn::Graph graph =
      nn::capture(net, Variable(normal({2, 6, 6, 3}, 1)), {{0, {"batch", 1, 2}}});
  const EngineQuantizer quantizer(x86_config());
  for (const nn::Graph& form :
       {prepare(graph, quantizer).graph, prepare_qat(graph, quantizer).graph}) {
    nn::GraphModule prepared(form);
    EXPECT_EQ(run(prepared, normal({1, 6, 6, 3}, 2)).size(0), 1);
    EXPECT_THROW(run(prepared, normal({3, 6, 6, 3}, 2)), ShapeError);
    EXPECT_THROW(run(prepared, normal({1, 8, 6, 3}, 2)), ShapeError);
  }
}

TEST(Prepare, FrozenObserversBeforeAnyBatchSayCalibrateFirst) {
  Net net(false);
  nn::GraphModule model(prepare_qat(graph_of(net), x86_config()).graph);
  enable_observers(model, false);
  for (bool training : {true, false}) {
    model.train(training);
    try {
      (void)run(model, normal({2, 6, 6, 3}, 4));
      FAIL();
    } catch (const ConfigError& error) {
      EXPECT_EQ(error.exit_code(), 2);
      EXPECT_NE(error.hint().find("calibrate first"), std::string::npos) << error.hint();
    }
  }
}

}  // namespace
}  // namespace stair::qat
