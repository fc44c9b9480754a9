#include "nn/graph/capture.h"

#include <gtest/gtest.h>

#include "autograd/ops/mul.h"
#include "autograd/ops/sum.h"
#include "nn/graph/graph_module.h"
#include "nn/layers/batch_norm2d.h"
#include "nn/layers/sequential.h"
#include "nn/model.h"
#include "tests/nn/values.h"

namespace stair::nn {
namespace {

struct Case {
  const char* model;
  double width;
  int64_t size;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.model;
}

class CaptureExact : public testing::TestWithParam<Case> {
 protected:
  // Two calls build the same model.
  std::shared_ptr<Module> build() const {
    ModelOptions options;
    options.width = GetParam().width;
    options.num_classes = 7;
    options.dropout = 0.3;
    options.seed = 3;
    return find_model(GetParam().model).build(options);
  }
  Variable input(uint64_t seed, int64_t batch = 2) const {
    return random_variable({batch, GetParam().size, GetParam().size, 3}, seed);
  }
};

std::vector<Tensor> values(const Module& module) {
  std::vector<Tensor> out;
  for (const NamedVariable& s : module.named_state()) out.push_back(s.variable.value().clone());
  return out;
}

void expect_same_state(const Module& a, const Module& b) {
  const auto left = a.named_state(), right = b.named_state();
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(left[i].name, right[i].name);
    EXPECT_TRUE(same(left[i].variable.value(), right[i].variable.value())) << left[i].name;
  }
}

TEST_P(CaptureExact, LeavesModeAndValuesAlone) {
  const auto model = build();
  const std::vector<Tensor> before = values(*model);
  model->named_modules().back().second->eval();
  std::vector<bool> modes;
  for (const auto& [path, module] : model->named_modules()) modes.push_back(module->is_training());
  capture(*model, input(1));
  const std::vector<Tensor> after = values(*model);
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(same(before[i], after[i]));
  size_t i = 0;
  for (const auto& [path, module] : model->named_modules())
    EXPECT_EQ(module->is_training(), modes[i++]) << path;
}

TEST_P(CaptureExact, EvaluatesToTheModelsBitsForAnyBatch) {
  const auto model = build();
  (*model)(input(5));
  GraphModule graph(capture(*model, input(1, 1)));
  model->eval();
  graph.eval();
  const autograd::NoGrad no_grad;
  EXPECT_TRUE(same((*model)(input(2, 3)).value(), graph(input(2, 3)).value()));
}

TEST_P(CaptureExact, TrainsLikeTheModel) {
  const auto model = build(), twin = build();
  GraphModule graph(capture(*twin, input(1)));
  const Random start(11);
  for (int step = 0; step < 2; ++step) {
    autograd::default_random() = start;
    const Variable expected = (*model)(input(2));
    autograd::default_random() = start;
    const Variable got = graph(input(2));
    ASSERT_TRUE(same(expected.value(), got.value()));
    autograd::sum(autograd::mul(expected, expected)).backward();
    autograd::sum(autograd::mul(got, got)).backward();
  }
  expect_same_state(*model, graph);
  const auto left = model->named_parameters(), right = graph.named_parameters();
  for (size_t i = 0; i < left.size(); ++i)
    EXPECT_TRUE(same(left[i].variable.grad(), right[i].variable.grad())) << left[i].name;
}

TEST_P(CaptureExact, SharesStateAndDeepCopiesDoNot) {
  const auto model = build();
  const Graph graph = capture(*model, input(1));
  GraphModule shared(graph), copied(graph.deep_copy());
  expect_same_state(*model, shared);
  expect_same_state(*model, copied);
  EXPECT_EQ(shared.named_state()[0].variable.id(), model->named_state()[0].variable.id());
  const std::vector<Tensor> before = values(copied);
  const auto bn = model->named_state()[3];
  ASSERT_EQ(bn.name.substr(bn.name.size() - 12), "running_mean");
  (*model)(input(2));
  expect_same_state(*model, shared);
  const auto after = copied.named_state();
  EXPECT_FALSE(same(before[3], bn.variable.value()));
  for (size_t i = 0; i < after.size(); ++i) EXPECT_TRUE(same(before[i], after[i].variable.value()));
}

TEST_P(CaptureExact, CapturesItsOwnResultUnchanged) {
  const auto model = build();
  const Graph first = capture(*model, input(1));
  GraphModule module(first);
  const Graph second = capture(module, input(1));
  ASSERT_EQ(first.nodes().size(), second.nodes().size());
  auto it = second.nodes().begin();
  for (const Node& node : first.nodes()) {
    EXPECT_EQ(node.name, it->name);
    EXPECT_EQ(node.op, it->op);
    EXPECT_EQ(node.inputs.size(), it->inputs.size());
    EXPECT_EQ(node.attributes, it->attributes);
    EXPECT_EQ(node.shape, it->shape);
    ++it;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, CaptureExact,
                         testing::Values(Case{"resnet18", 0.0625, 32}, Case{"resnet50", 0.0625, 32},
                                         Case{"mobilenet_v2", 0.1, 32}, Case{"resnet20", 0.25, 16}),
                         [](const auto& info) { return std::string(info.param.model); });

TEST(Capture, NamesAndShapesOfResnet20AreStable) {
  const auto model = find_model("resnet20").build({});
  const Graph graph = capture(*model, random_variable({4, 32, 32, 3}, 1));
  graph.check();
  const Node* relu = graph.find("layer2.0.relu_1");
  ASSERT_NE(relu, nullptr);
  EXPECT_EQ(relu->shape, (Shape{kBatch, 16, 16, 32}));
  EXPECT_EQ(relu->path, "layer2.0");
  EXPECT_EQ(graph.node(relu->inputs[0]).name, "layer2.0.add");
  const Node* conv = graph.find("layer3.0.conv1.conv2d");
  ASSERT_NE(conv, nullptr);
  EXPECT_EQ(conv->attributes.get<std::vector<int64_t>>("stride"), (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(graph.node(conv->inputs[1]).name, "layer3.0.conv1.weight");
  EXPECT_EQ(conv->inputs[2], -1);
  EXPECT_EQ(graph.node(graph.output()).name, "linear.linear");
  EXPECT_EQ(graph.node(graph.output()).shape, (Shape{kBatch, 10}));
}

// Multiplies its input by a value that it does not register.
class Scales : public Module {
 public:
  explicit Scales(Variable v) : v_(std::move(v)) {}
  Variable forward(const Variable& x) override { return autograd::mul(x, v_); }

 private:
  Variable v_;
};

TEST(Capture, RefusesValuesItCannotTrace) {
  Scales model(random_variable({3}, 1));
  EXPECT_EQ(message_of<ConfigError>([&] {
              capture(model, random_variable({2, 3}, 2));
            }),
            "capture: 'mul' takes a value [3] f32 that is no input, parameter, buffer or result of "
            "an operation");
}

TEST(Capture, KeepsFrozenBatchNormFrozen) {
  auto bn = std::make_shared<BatchNorm2d>(2);
  Sequential model({bn});
  bn->freeze();
  GraphModule graph(capture(model, random_variable({2, 3, 3, 2}, 1)));
  const std::vector<Tensor> before = values(graph);
  graph(random_variable({2, 3, 3, 2}, 2));
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(same(before[i], graph.named_state()[i].variable.value()));
}

}  // namespace
}  // namespace stair::nn
