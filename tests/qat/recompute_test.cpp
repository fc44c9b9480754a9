// Recomputation changes the memory of a step and nothing else.
#include "autograd/recompute.h"

#include <gtest/gtest.h>

#include <cstring>

#include "autograd/ops/cross_entropy.h"
#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/model.h"
#include "nn/optimizer.h"
#include "qat/prepare.h"
#include "tests/support/sanitizers.h"

namespace stair::qat {
namespace {

constexpr int64_t kBatch = 8, kSize = 64;

Tensor pictures(uint64_t seed) {
  Tensor t = Tensor::empty({kBatch, kSize, kSize, 3}, DType::f32);
  Random random(seed, 0);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = random.normal();
  return t;
}

struct Network {
  Network(const std::string& model, const std::string& quantizer) {
    const nn::ModelOptions options{.num_classes = 5, .width = 0.25, .seed = 3};
    graph = std::make_shared<nn::GraphModule>(
        nn::capture(*nn::find_model(model).build(options), Variable(pictures(1))));
    if (!quantizer.empty())
      graph = std::make_shared<nn::GraphModule>(
          prepare_qat(graph->graph(), x86_config(8, 8, quantizer)).graph);
    autograd::SgdOptions sgd;
    sgd.momentum = 0.9;
    optimizer = std::make_unique<nn::Sgd>(nn::decay_groups(graph->named_parameters(), 1e-4), sgd);
  }

  void step(uint64_t seed, bool recompute) const {
    const autograd::Recompute scope(recompute);
    const Tensor labels = Tensor::from<int64_t>({0, 1, 2, 3, 4, 0, 1, 2}, {kBatch});
    autograd::cross_entropy((*graph)(Variable(pictures(seed))), labels, {}).backward();
    optimizer->step(0.01);
    optimizer->zero_grad();
  }

  std::shared_ptr<nn::GraphModule> graph;
  std::unique_ptr<nn::Optimizer> optimizer;
};

struct Outcome {
  std::vector<Tensor> state;
  size_t peak = 0;
};

Outcome train(const std::string& model, const std::string& quantizer, bool recompute) {
  autograd::default_random() = Random(7);
  const Network network(model, quantizer);
  Outcome outcome;
  for (uint64_t seed = 10; seed < 13; ++seed) {
    reset_peak_memory();
    const size_t before = memory_stats().live_bytes;
    network.step(seed, recompute);
    outcome.peak = memory_stats().peak_bytes - before;
  }
  for (const nn::NamedVariable& v : network.graph->named_state())
    outcome.state.push_back(v.variable.value());
  return outcome;
}

void expect_same_state_and_less_memory(const std::string& model, const std::string& quantizer,
                                       double share) {
  SCOPED_TRACE(model + ' ' + quantizer);
  const Outcome kept = train(model, quantizer, false), remade = train(model, quantizer, true);
  ASSERT_EQ(kept.state.size(), remade.state.size());
  for (size_t i = 0; i < kept.state.size(); ++i)
    ASSERT_EQ(0, std::memcmp(kept.state[i].raw(), remade.state[i].raw(), kept.state[i].bytes()))
        << i;
  EXPECT_LT(static_cast<double>(remade.peak), share * static_cast<double>(kept.peak));
}

TEST(RecomputeExact, QatKeepsTheCodesAlone) {
  expect_same_state_and_less_memory("resnet18", "ste", 0.9);
  expect_same_state_and_less_memory("mobilenet_v2", "ste", 0.75);
  expect_same_state_and_less_memory("resnet20", "lsq", 0.6);
}

TEST(RecomputeExact, FloatTrainingKeepsTheConvolutionsAlone) {
  expect_same_state_and_less_memory("resnet18", "", 0.97);
  expect_same_state_and_less_memory("mobilenet_v2", "", 0.9);
}

TEST(Memory, AStepAfterTheSecondAsksTheSystemForNothing) {
  for (const char* quantizer : {"", "ste", "lsq"})
    for (bool recompute : {false, true}) {
      if (support::kSanitized && *quantizer != 'l') continue;
      SCOPED_TRACE(testing::Message() << quantizer << ' ' << recompute);
      const Network network("resnet20", quantizer);
      network.step(1, recompute);
      network.step(2, recompute);
      const size_t before = memory_stats().system_calls;
      for (uint64_t seed = 3; seed < 6; ++seed) network.step(seed, recompute);
      EXPECT_EQ(memory_stats().system_calls, before);
    }
}

}  // namespace
}  // namespace stair::qat
