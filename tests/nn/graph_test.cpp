#include "nn/graph/graph.h"

#include <gtest/gtest.h>

#include "nn/graph/graph_module.h"
#include "nn/graph/print.h"
#include "tests/nn/values.h"

namespace stair::nn {
namespace {

Node make(const std::string& op, std::vector<int> inputs, const std::string& name = "") {
  Node node;
  node.op = op;
  node.name = name;
  node.inputs = std::move(inputs);
  return node;
}

// y = relu(x * w)
struct Small {
  Small() {
    Node parameter = make("parameter", {}, "w");
    parameter.variable = Variable(Tensor::from<float>({2, -3}, {2}), true);
    parameter.shape = {2};
    w = graph.append(parameter);
    Node input = make("input", {});
    input.shape = {kBatch, 2};
    x = graph.append(input);
    mul = graph.append(make("mul", {x, w}, "block.mul"));
    relu = graph.append(make("relu", {mul}, "block.relu"));
    graph.set_output(relu);
  }
  Graph graph;
  int w, x, mul, relu;
};

const Variable kOnes(Tensor::full<float>({1, 2}, 1));

TEST(Graph, InsertedNodesRunInTheirPlace) {
  Small s;
  const int square = s.graph.insert_after(s.mul, make("mul", {s.mul, s.w}, "square"));
  s.graph.replace_uses(s.mul, square, square);
  s.graph.check();
  EXPECT_EQ(s.graph.users_of(s.mul), std::vector<int>{square});
  EXPECT_EQ(s.graph.users_of(s.w), (std::vector<int>{s.mul, square}));
  GraphModule module(s.graph);
  EXPECT_TRUE(same(module(kOnes).value(), Tensor::from<float>({4, 9}, {1, 2})));
}

TEST(Graph, ReplacingTheOutputMovesIt) {
  Small s;
  s.graph.replace_uses(s.relu, s.mul);
  EXPECT_EQ(s.graph.output(), s.mul);
  EXPECT_EQ(s.graph.erase_dead(), 1);
  EXPECT_EQ(s.graph.find("block.relu"), nullptr);
}

TEST(Graph, DeadNodesGoWithAllTheyAloneUse) {
  Small s;
  s.graph.replace_uses(s.relu, s.x);
  EXPECT_EQ(s.graph.erase_dead(), 3);
  EXPECT_EQ(s.graph.nodes().size(), 1u);
  s.graph.check();
}

TEST(Graph, TakenNamesGetAnIndex) {
  Small s;
  const int again = s.graph.insert_before(s.relu, make("relu", {s.mul}, "block.relu"));
  EXPECT_EQ(s.graph.node(again).name, "block.relu_1");
}

TEST(Graph, EditsThatBreakTheOrderAreRefused) {
  Small s;
  EXPECT_EQ(message_of<ConfigError>([&] { s.graph.insert_before(s.mul, make("relu", {s.mul})); }),
            "graph: 'relu' takes node 2, which does not stand before its place");
  EXPECT_EQ(message_of<ConfigError>([&] { s.graph.replace_uses(s.x, s.relu); }),
            "graph: node 2 'block.mul' would take node 3 'block.relu', which does not stand before "
            "it");
  EXPECT_EQ(message_of<ConfigError>([&] { s.graph.append(make("input", {})); }),
            "graph: there is an input already");
  EXPECT_EQ(message_of<ConfigError>([&] { s.graph.node(17); }), "graph: there is no node 17");
}

TEST(Graph, UsedNodesAndEndsCannotBeErased) {
  Small s;
  EXPECT_EQ(message_of<ConfigError>([&] { s.graph.erase(s.mul); }),
            "graph: node 2 'block.mul' is used by node 3 'block.relu'");
  EXPECT_EQ(message_of<ConfigError>([&] { s.graph.erase(s.relu); }),
            "graph: node 3 'block.relu' is the graph's input or output");
}

TEST(Graph, CheckFindsBrokenGraphs) {
  Small late;
  late.graph.node(late.mul).inputs[0] = late.relu;
  EXPECT_EQ(message_of<ConfigError>([&] { late.graph.check(); }),
            "graph: node 2 'block.mul' takes node 3, which does not stand before it");
  Small twins;
  twins.graph.node(twins.mul).name = "w";
  EXPECT_EQ(message_of<ConfigError>([&] { twins.graph.check(); }),
            "graph: two nodes are called 'w'");
  EXPECT_EQ(message_of<ConfigError>([] { Graph().check(); }), "graph: there is no input");
}

TEST(Graph, CopiesShareVariablesAndDeepCopiesDoNot) {
  Small s;
  Graph shallow = s.graph;
  const Graph deep = s.graph.deep_copy();
  shallow.node(s.mul).name = "other";
  EXPECT_EQ(s.graph.node(s.mul).name, "block.mul");
  s.graph.node(s.w).variable.value().data<float>()[0] = 5;
  EXPECT_EQ(shallow.node(s.w).variable.value().data<float>()[0], 5);
  EXPECT_EQ(deep.node(s.w).variable.value().data<float>()[0], 2);
  EXPECT_TRUE(deep.node(s.w).variable.requires_grad());
}

// The last of its inputs that is there.
class LastInput : public Module {
 public:
  LastInput() { bias_ = register_parameter("bias", Tensor::full<float>({1}, 1)); }
  Variable forward(const Variable& x) override { return x; }
  Variable forward_many(std::span<const Variable> inputs) override {
    seen = scope_path();
    Variable last;
    for (const Variable& x : inputs)
      if (x.defined()) last = x;
    return last;
  }
  std::shared_ptr<Module> clone() const override { return std::make_shared<LastInput>(); }
  std::string seen;

 private:
  Variable bias_;
};

TEST(GraphModule, RunsModulesAndSavesTheirStateUnderTheirNodes) {
  Small s;
  Node call = make("module", {s.mul, s.x, -1}, "block.quantizer");
  auto part = std::make_shared<LastInput>();
  call.module = part;
  call.path = "block";
  s.graph.replace_uses(s.relu, s.graph.append(call));
  GraphModule module(s.graph);
  EXPECT_TRUE(same(module(kOnes).value(), Tensor::full<float>({1, 2}, 1)));
  EXPECT_EQ(part->seen, "block");
  EXPECT_EQ(module.named_parameters()[1].name, "block.quantizer.bias");
  module.eval();
  EXPECT_FALSE(part->is_training());
  const auto copy = std::dynamic_pointer_cast<GraphModule>(module.clone());
  ASSERT_NE(copy, nullptr);
  EXPECT_FALSE(copy->is_training());
  EXPECT_NE(copy->graph().find("block.quantizer")->module, part);
}

TEST(GraphModule, NodesWithoutTheirPartsAreRefused) {
  Small s;
  Graph empty_parameter = s.graph;
  empty_parameter.node(s.w).variable = Variable();
  EXPECT_EQ(message_of<ConfigError>([&] { GraphModule{empty_parameter}; }),
            "graph: node 0 'w' has no variable");
  s.graph.node(s.mul).op = "module";
  EXPECT_EQ(message_of<ConfigError>([&] { GraphModule{s.graph}; }),
            "graph: node 2 'block.mul' has no module");
  s.graph.node(s.mul).op = "multiply";
  EXPECT_EQ(message_of<ConfigError>([&] { GraphModule{s.graph}; }),
            "no operation is called 'multiply'");
}

TEST(GraphModule, ObserverSeesEveryValueInOrder) {
  Small s;
  GraphModule module(s.graph);
  std::vector<std::string> seen;
  module.set_observer([&](const Node& node, const Variable& value) {
    EXPECT_EQ(value.shape(), (Shape{1, 2}));
    seen.push_back(node.name);
  });
  module(kOnes);
  EXPECT_EQ(seen, (std::vector<std::string>{"input", "block.mul", "block.relu"}));
}

TEST(GraphModule, ValuesAreFreedAfterTheirLastUse) {
  Graph graph;
  int last = graph.append(make("input", {}));
  for (int i = 0; i < 8; ++i) last = graph.append(make("relu", {last}));
  graph.set_output(last);
  GraphModule module(graph);
  const Variable x(Tensor::full<float>({1, 1 << 18}, 1));
  const autograd::NoGrad no_grad;
  reset_peak_memory();
  const size_t before = memory_stats().live_bytes;
  module(x);
  EXPECT_LE(memory_stats().peak_bytes - before, 2 * x.value().bytes() + 4096);
}

TEST(Print, HasALineANode) {
  Small s;
  s.graph.node(s.mul).attributes.set("axis", int64_t{3});
  const Remark remark = [](const Node& node) { return node.op == "relu" ? "u8" : ""; };
  EXPECT_EQ(to_text(s.graph, remark),
            "%0 w = parameter : [2]\n"
            "%1 input = input : [N,2]\n"
            "%2 block.mul = mul(%1, %0) axis=3 : []\n"
            "%3 block.relu = relu(%2) : [] -> output  # u8\n");
}

TEST(Print, DotQuotesWhatItMust) {
  Small s;
  s.graph.node(s.mul).name = "a\"b";
  EXPECT_EQ(to_dot(s.graph),
            "digraph model {\n  node [shape=box];\n"
            "  n1 [label=\"input [N,2]\"];\n"
            "  n2 [label=\"a\\\"b []\"];\n  n1 -> n2;\n"
            "  n3 [label=\"block.relu []\"];\n  n2 -> n3;\n}\n");
}

}  // namespace
}  // namespace stair::nn
