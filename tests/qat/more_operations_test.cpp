// Concatenation, products, tables and pools: training form, file and every instruction set give one
// set of codes.
#include <gtest/gtest.h>

#include <cstring>

#include "autograd/ops/add.h"
#include "autograd/ops/avg_pool2d.h"
#include "autograd/ops/concat.h"
#include "autograd/ops/cross_entropy.h"
#include "autograd/ops/gelu.h"
#include "autograd/ops/global_avg_pool.h"
#include "autograd/ops/hardsigmoid.h"
#include "autograd/ops/hardswish.h"
#include "autograd/ops/leaky_relu.h"
#include "autograd/ops/max_pool2d.h"
#include "autograd/ops/mul.h"
#include "autograd/ops/relu.h"
#include "autograd/ops/sigmoid.h"
#include "autograd/ops/silu.h"
#include "autograd/ops/tanh.h"
#include "core/cpu.h"
#include "core/random.h"
#include "nn/blocks.h"
#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/layers/linear.h"
#include "nn/layers/pool.h"
#include "qat/convert.h"
#include "qat/int8/session.h"
#include "qat/prepare.h"
#include "qat/presets.h"
#include "tests/support/temporary_folder.h"

namespace stair::qat {
namespace {

// Three 1x1 or 3x3 convolutions a, b, c of 8 channels, what `body` does with them, and a
// classifier.
class Net : public nn::Module {
 public:
  using Forward = Variable (*)(Net&, const Variable&);
  Net(Forward forward, int64_t features) : forward_(forward) {
    Random random(3);
    a = register_module("a", nn::conv3x3(3, 8, 1, false, random));
    b = register_module("b", nn::conv1x1(8, 8, 1, random));
    c = register_module("c", nn::conv3x3(8, 8, 2, false, random));
    fc_ = register_module("fc", std::make_shared<nn::Linear>(features, 4, true, random));
    flatten_ = register_module("flatten", std::make_shared<nn::Flatten>());
  }
  Variable forward(const Variable& x) override { return (*fc_)((*flatten_)(forward_(*this, x))); }
  std::shared_ptr<nn::Module> a, b, c;

 private:
  Forward forward_;
  std::shared_ptr<nn::Module> fc_, flatten_;
};

Tensor pictures(int64_t n, uint64_t seed) {
  Tensor x = Tensor::empty({n, 8, 8, 3}, DType::f32);
  Random random(seed);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = random.normal();
  return x;
}

std::shared_ptr<nn::GraphModule> trained(Net::Forward forward, int64_t features,
                                         const QuantizationConfig& config) {
  Net net(forward, features);
  const Prepared prepared = prepare_qat(nn::capture(net, Variable(pictures(1, 1))), config);
  auto model = std::make_shared<nn::GraphModule>(prepared.graph);
  for (int step = 0; step < 3; ++step) {
    const Variable logits = (*model)(Variable(pictures(4, static_cast<uint64_t>(step) + 5)));
    autograd::cross_entropy(logits, Tensor::from<int64_t>({0, 1, 2, 3}, {4})).backward();
    for (const nn::NamedVariable& p : model->named_parameters()) {
      if (!p.variable.grad().defined()) continue;
      for (int64_t i = 0; i < p.variable.value().numel(); ++i)
        p.variable.value().data<float>()[i] -= 0.01F * p.variable.grad().data<float>()[i];
      nn::Variable(p.variable).zero_grad();
    }
  }
  model->eval();
  return model;
}

// The deployed graph, which gives the logits of the training form on every instruction set, as a
// file too.
Int8Graph expect_exact(nn::GraphModule& model, const std::string& what) {
  const support::TemporaryFolder folder;
  const autograd::NoGrad no_grad;
  const Tensor x = pictures(3, 77);
  const Tensor expected = model(Variable(x)).value();
  save_int8_graph(convert(model.graph()), folder / "net.int8");
  Int8Graph graph = load_int8_graph(folder / "net.int8");
  for (Isa isa : available_isas()) {
    const IsaScope scope(isa);
    const Tensor got = Int8Session(graph).run(x);
    EXPECT_EQ(std::memcmp(got.raw(), expected.raw(), expected.bytes()), 0)
        << what << " int8 on " << isa;
    const Tensor again = model(Variable(x)).value();
    EXPECT_EQ(std::memcmp(again.raw(), expected.raw(), expected.bytes()), 0)
        << what << " in training form on " << isa;
  }
  return graph;
}

int64_t count_of(const Int8Graph& graph, const std::string& op) {
  return std::count_if(graph.nodes.begin(), graph.nodes.end(),
                       [&](const Int8Node& node) { return node.op == op; });
}

const Int8Node& node_of(const Int8Graph& graph, const std::string& op) {
  for (const Int8Node& node : graph.nodes)
    if (node.op == op) return node;
  throw ConfigError("no " + op);
}

std::vector<QuantizationConfig> configs() {
  std::vector<QuantizationConfig> all = {x86_config(), x86_config(4, 4), x86_config(8, 8, "lsq")};
  for (const char* preset : {"xnnpack", "tensorrt", "tqt"})
    all.push_back(find_preset(preset).config);
  return all;
}

TEST(MoreOperationsExact, FunctionsOfOneCodeAreTables) {
  const Net::Forward functions[] = {
      [](Net& net, const Variable& x) { return autograd::hardswish((*net.a)(x)); },
      [](Net& net, const Variable& x) { return autograd::hardsigmoid((*net.a)(x)); },
      [](Net& net, const Variable& x) { return autograd::sigmoid((*net.a)(x)); },
      [](Net& net, const Variable& x) { return autograd::tanh((*net.a)(x)); },
      [](Net& net, const Variable& x) { return autograd::silu((*net.a)(x)); },
      [](Net& net, const Variable& x) { return autograd::gelu((*net.a)(x)); },
      [](Net& net, const Variable& x) { return autograd::leaky_relu((*net.a)(x), 0.125); }};
  for (const QuantizationConfig& config : configs())
    for (size_t i = 0; i < std::size(functions); ++i) {
      const auto t = trained(functions[i], 512, config);
      const Int8Graph graph = expect_exact(*t, str("function ", i));
      EXPECT_EQ(count_of(graph, "table"), 1) << i;
    }
}

TEST(MoreOperations, WhatLiesInZeroToOneHasAFixedScale) {
  const auto t = trained([](Net& net, const Variable& x) { return autograd::sigmoid((*net.a)(x)); },
                         512, x86_config());
  const Int8Format f = node_of(convert(t->graph()), "table").format;
  EXPECT_EQ(f.scale, 1.0F / 256);
  EXPECT_EQ(f.zero_point, 0);
}

TEST(MoreOperationsExact, ProductsOfTwoTensorsAndOfOneValueAChannel) {
  for (const QuantizationConfig& config : configs()) {
    const auto whole = trained(
        [](Net& net, const Variable& x) {
          const Variable y = autograd::relu((*net.a)(x));
          return autograd::relu(autograd::mul(y, (*net.b)(y)));
        },
        512, config);
    EXPECT_EQ(count_of(expect_exact(*whole, "product"), "mul"), 1);
    const auto squeeze = trained(
        [](Net& net, const Variable& x) {
          const Variable y = autograd::relu((*net.a)(x));
          const Variable scale = autograd::hardsigmoid((*net.b)(autograd::global_avg_pool(y)));
          return autograd::mul(y, scale);
        },
        512, config);
    EXPECT_EQ(count_of(expect_exact(*squeeze, "squeeze and excitation"), "mul"), 1);
  }
}

TEST(MoreOperationsExact, InputsOfAConcatenationShareOneScale) {
  for (const QuantizationConfig& config : configs()) {
    const auto t = trained(
        [](Net& net, const Variable& x) {
          const Variable y = autograd::relu((*net.a)(x));
          autograd::Pool2dOptions pool{{3, 3}, {1, 1}, {1, 1, 1, 1}};
          return autograd::concat({autograd::relu((*net.b)(y)), autograd::max_pool2d(y, pool), y},
                                  3);
        },
        1536, config);
    const Int8Graph graph = expect_exact(*t, "concat");
    const Int8Node& concat = node_of(graph, "concat");
    for (int input : concat.inputs)
      EXPECT_EQ(graph.nodes[static_cast<size_t>(input)].format.scale, concat.format.scale);
  }
}

TEST(MoreOperationsExact, InputsThatClampInOtherWaysAreRequantized) {
  for (const QuantizationConfig& config : configs()) {
    const auto t = trained(
        [](Net& net, const Variable& x) {
          const Variable y = autograd::relu((*net.a)(x));
          return autograd::concat({(*net.b)(y), y}, 2);
        },
        1024, config);
    EXPECT_EQ(count_of(expect_exact(*t, "concat of two scales"), "concat"), 1);
  }
}

TEST(MoreOperationsExact, AveragesOfWindows) {
  for (const QuantizationConfig& config : configs()) {
    const auto t = trained(
        [](Net& net, const Variable& x) {
          const autograd::Pool2dOptions pool{{3, 2}, {2, 1}, {1, 0, 1, 1}, false};
          return autograd::avg_pool2d(autograd::relu((*net.a)(x)), pool);
        },
        256, config);
    EXPECT_EQ(count_of(expect_exact(*t, "average"), "avg_pool"), 1);
  }
}

TEST(MoreOperationsFault, DamagedNodesAreNamed) {
  const auto t = trained(
      [](Net& net, const Variable& x) {
        const Variable y = autograd::hardswish((*net.a)(x));
        return autograd::concat({y, (*net.b)(y)}, 3);
      },
      1024, x86_config());
  const Int8Graph good = convert(t->graph());
  const auto expect_refused = [&](const char* op, const auto& damage, const std::string& what) {
    Int8Graph graph = good;
    for (Int8Node& node : graph.nodes)
      if (node.op == op) damage(node);
    try {
      graph.validate();
      (void)Int8Session(graph).run(pictures(1, 1));
      FAIL() << what;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
    }
  };
  expect_refused(
      "table", [](Int8Node& n) { n.attributes.set("function", std::string("mul")); },
      "no function is called 'mul'");
  expect_refused(
      "table", [](Int8Node& n) { n.attributes.set("function", std::string("leaky_relu")); },
      "attribute 'slope' is missing");
  expect_refused(
      "concat", [](Int8Node& n) { n.attributes.set("axis", int64_t{0}); }, "axis 0");
  expect_refused(
      "concat", [](Int8Node& n) { n.attributes.set("axis", int64_t{4}); }, "at axis 4");
  expect_refused(
      "concat", [](Int8Node& n) { n.inputs.clear(); }, "expected one or more");
  expect_refused(
      "concat",
      [](Int8Node& n) {
        n.inputs = {1, n.inputs[0]};
        n.attributes.set("axis", int64_t{1});
      },
      "joins [1,8,8,3] and");
  expect_refused(
      "table",
      [](Int8Node& n) {
        n.op = "mul";
        n.inputs = {1, 2};
      },
      "multiplies");
}

}  // namespace
}  // namespace stair::qat
