// The one idea: what training computes in evaluation mode is what the converted graph computes, bit
// for bit.
#include <gtest/gtest.h>

#include <cstring>

#include "autograd/ops/cross_entropy.h"
#include "core/cpu.h"
#include "core/parallel.h"
#include "core/random.h"
#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/model.h"
#include "qat/convert.h"
#include "qat/int8/session.h"
#include "qat/int8/slice.h"
#include "qat/prepare.h"
#include "tests/support/sanitizers.h"
#include "tests/support/temporary_folder.h"

namespace stair::qat {
namespace {

Tensor pictures(int64_t n, int64_t size, uint64_t seed) {
  Tensor x = Tensor::empty({n, size, size, 3}, DType::f32);
  Random random(seed);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = random.normal();
  return x;
}

// Steps of plain gradient descent, so that batch norm, observers and learned scales move.
void train(nn::GraphModule& model, int64_t size, int steps) {
  for (int step = 0; step < steps; ++step) {
    Tensor labels = Tensor::empty({4}, DType::s64);
    for (int64_t i = 0; i < 4; ++i) labels.data<int64_t>()[i] = (i + step) % 3;
    const Variable logits = model(Variable(pictures(4, size, static_cast<uint64_t>(step) + 10)));
    autograd::cross_entropy(logits, labels, {}).backward();
    for (const nn::NamedVariable& p : model.named_parameters()) {
      if (!p.variable.grad().defined()) continue;
      const Tensor value = p.variable.value(), gradient = p.variable.grad();
      for (int64_t i = 0; i < value.numel(); ++i)
        value.data<float>()[i] -= 0.01F * gradient.data<float>()[i];
      nn::Variable(p.variable).zero_grad();
    }
  }
}

struct Case {
  const char* model;
  int64_t size;
  double width;
};
constexpr Case kCases[] = {{"resnet20", 16, 1},
                           {"resnet18", 40, 0.125},
                           {"mobilenet_v2", 40, 0.25},
                           {"mobilenet_v3_small", 40, 0.25}};

std::shared_ptr<nn::GraphModule> trained(const Case& c, const QuantizationConfig& config,
                                         int steps = 2) {
  nn::ModelOptions options;
  options.num_classes = 3;
  options.width = c.width;
  options.seed = 1;
  const auto model = nn::find_model(c.model).build(options);
  const nn::Graph graph = nn::capture(*model, Variable(pictures(1, c.size, 1)));
  auto qat = std::make_shared<nn::GraphModule>(prepare_qat(graph, config).graph);
  train(*qat, c.size, steps);
  return qat;
}

Tensor logits_of(nn::GraphModule& model, const Tensor& x) {
  const autograd::NoGrad no_grad;
  model.eval();
  Tensor y = model(Variable(x)).value();
  model.train();
  return y;
}

void expect_equal(const Tensor& a, const Tensor& b, const std::string& what) {
  ASSERT_EQ(a.shape(), b.shape()) << what;
  for (int64_t i = 0; i < a.numel(); ++i)
    ASSERT_EQ(a.data<float>()[i], b.data<float>()[i]) << what << ", element " << i;
}

// Every quantizer of the build; those whose activations have no integer form quantize weights
// alone, beside `ste`.
QuantizationConfig config_of(const QuantizerDef& def, int bits) {
  QuantizationConfig config = x86_config(bits, bits, def.name);
  if (!make_quantizer(config.activation, 1, Activation::relu)->simulated().empty())
    config.activation.quantizer = "ste";
  return config;
}

TEST(TrainEqualsDeployExact, EveryLogitOfEveryModelQuantizerAndBitWidth) {
  size_t turn = 0;
  for (const Case& c : kCases)
    for (const QuantizerDef* def : quantizers())
      for (int bits : {8, 4, 2}) {
        // The large models take their turn with the middle width alone.
        if (c.size > 16 && bits != 4) continue;
        if (support::kSanitized && turn++ % 7 != 0) continue;
        const auto held = trained(c, config_of(*def, bits));
        nn::GraphModule& model = *held;
        Int8Session session(convert(model.graph()));
        const Tensor x = pictures(3, c.size, 99);
        expect_equal(logits_of(model, x), session.run(x), str(c.model, ' ', def->name, ' ', bits));
      }
}

TEST(TrainEqualsDeployExact, EveryInstructionSetAndThreadCount) {
  const int threads = num_threads();
  for (const Case& c : kCases) {
    const auto held = trained(c, x86_config());
    nn::GraphModule& model = *held;
    const Tensor x = pictures(2, c.size, 98);
    const Int8Graph graph = convert(model.graph());
    const Tensor expected = Int8Session(graph).run(x);
    for (Isa isa : available_isas()) {
      const IsaScope scope(isa);
      for (int count : {1, 2, 4}) {
        set_num_threads(count);
        expect_equal(expected, Int8Session(graph).run(x),
                     str(c.model, " int8 ", isa, ' ', count, " threads"));
        expect_equal(expected, logits_of(model, x),
                     str(c.model, " QAT ", isa, ' ', count, " threads"));
      }
    }
    set_num_threads(threads);
  }
}

TEST(TrainEqualsDeployExact, FrozenBatchNormTrainsOnTheDeployedForm) {
  const auto held = trained(kCases[1], x86_config());
  nn::GraphModule& model = *held;
  freeze_batch_norm(model, true);
  enable_observers(model, false);
  train(model, kCases[1].size, 1);
  const Tensor x = pictures(2, kCases[1].size, 97);
  // With the statistics frozen, training mode is the deployed arithmetic too.
  const autograd::NoGrad no_grad;
  expect_equal(model(Variable(x)).value(), Int8Session(convert(model.graph())).run(x),
               "training mode");
}

TEST(TrainEqualsDeployExact, FusedResidualsGiveTheSameIntegers) {
  for (const Case& c : kCases) {
    const auto held = trained(c, x86_config());
    nn::GraphModule& model = *held;
    const Int8Graph graph = convert(model.graph());
    const Tensor x = pictures(2, c.size, 96);
    expect_equal(Int8Session(graph, {.fuse_residual = false}).run(x), Int8Session(graph).run(x),
                 c.model);
  }
}

TEST(TrainEqualsDeployExact, AnotherBatchAndPictureSize) {
  const auto held = trained(kCases[0], x86_config());
  nn::GraphModule& model = *held;
  Int8Session session(convert(model.graph()));
  for (int64_t n : {1, 5})
    for (int64_t size : {16, 23}) {
      const Tensor x = pictures(n, size, 95);
      expect_equal(logits_of(model, x), session.run(x), str(n, " x ", size));
    }
  EXPECT_EQ(session.run(Tensor::empty({0, 16, 16, 3}, DType::f32)).shape(), (Shape{0, 3}));
}

TEST(TrainEqualsDeployExact, TheFileGivesTheSameLogits) {
  const support::TemporaryFolder folder;
  const auto held = trained(kCases[2], x86_config(4, 8));
  nn::GraphModule& model = *held;
  Int8Graph graph = convert(model.graph());
  graph.class_names = {"a", "b", "c"};
  graph.metadata.set("mean_0", 0.485);
  save_int8_graph(graph, folder / "model.int8");
  const Int8Graph loaded = load_int8_graph(folder / "model.int8");
  EXPECT_EQ(loaded.class_names, graph.class_names);
  EXPECT_EQ(loaded.metadata, graph.metadata);
  EXPECT_EQ(to_string(loaded), to_string(graph));
  const Tensor x = pictures(2, kCases[2].size, 94);
  expect_equal(Int8Session(graph).run(x), Int8Session(loaded).run(x), "file");
}

TEST(TrainEqualsDeployExact, ConvertLeavesTheTrainingGraphAlone) {
  const auto held = trained(kCases[0], x86_config());
  nn::GraphModule& model = *held;
  std::vector<Tensor> before;
  for (const nn::NamedVariable& v : model.named_state())
    before.push_back(v.variable.value().clone());
  (void)convert(model.graph());
  EXPECT_TRUE(model.is_training());
  const auto after = model.named_state();
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_EQ(std::memcmp(before[i].raw(), after[i].variable.value().raw(), before[i].bytes()), 0)
        << after[i].name;
}

TEST(Convert, WithoutCalibrationSaysSo) {
  try {
    const auto held = trained(kCases[0], x86_config(), 0);
    nn::GraphModule& model = *held;
    (void)convert(model.graph());
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(error.hint().find("calibrate first"), std::string::npos) << error.what();
  }
}

TEST(Int8Plan, ReusesBuffers) {
  const auto held = trained(kCases[0], x86_config());
  nn::GraphModule& model = *held;
  const Int8Plan plan = make_plan(convert(model.graph()), {2, 16, 16, 3});
  EXPECT_LT(plan.bytes * 4, plan.bytes_without_reuse);
}

TEST(Int8Plan, PartsHandOverWhatIsReadLater) {
  const auto held = trained(kCases[0], x86_config());
  const Int8Graph graph = convert(static_cast<nn::GraphModule&>(*held).graph());
  const Shape input = {1, 16, 16, 3};
  const Int8Plan whole = make_plan(graph, input);
  EXPECT_TRUE(whole.inputs.empty());
  ASSERT_EQ(whole.outputs.size(), 1U);
  bool several = false;
  for (size_t cut = 0; cut <= whole.steps.size(); ++cut) {
    const Int8Plan first = make_plan(graph, input, {.last = cut}),
                   rest = make_plan(graph, input, {.first = cut});
    EXPECT_EQ(first.steps.size() + rest.steps.size(), whole.steps.size());
    EXPECT_EQ(first.outputs, rest.inputs);
    EXPECT_EQ(rest.outputs, whole.outputs);
    EXPECT_LE(std::max(first.bytes, rest.bytes), whole.bytes);
    several = several || first.outputs.size() > 1;
  }
  const size_t by_picture = steps_by_picture(graph, whole);
  EXPECT_GT(by_picture, 0);
  EXPECT_LT(by_picture, whole.steps.size());
  EXPECT_TRUE(several) << "no cut leaves a residual branch open";
}

}  // namespace
}  // namespace stair::qat
