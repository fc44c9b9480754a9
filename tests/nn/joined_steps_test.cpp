// Steps of a graph that run in one pass give what they give one by one.
#include <gtest/gtest.h>

#include <cstring>

#include "core/cpu.h"
#include "core/random.h"
#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/model.h"
#include "tests/nn/values.h"

namespace stair::nn {
namespace {

struct Step {
  Tensor logits;
  std::vector<Tensor> gradients, buffers;
};

// One training step; an observer sees every value, so nothing is joined.
Step step(const std::string& model, bool observed) {
  GraphModule net(
      capture(*find_model(model).build({.num_classes = 5, .width = 0.5, .dropout = 0.0, .seed = 3}),
              random_variable({4, 64, 64, 3}, 1)));
  if (observed) net.set_observer([](const Node&, const Variable&) {});
  const Variable y = net(random_variable({4, 64, 64, 3}, 2));
  y.backward(random_variable(y.shape(), 4).value());
  Step result{y.value(), {}, {}};
  for (const NamedVariable& p : net.named_parameters())
    result.gradients.push_back(p.variable.grad());
  for (const NamedVariable& b : net.named_buffers()) result.buffers.push_back(b.variable.value());
  return result;
}

TEST(JoinedStepsExact, BatchNormWithItsActivationIsTheTwoInARow) {
  for (Isa isa : available_isas()) {
    if (isa == Isa::ref) continue;  // its batch norm computes y in double
    const IsaScope scope(isa);
    for (const char* model : {"resnet20", "mobilenet_v2"}) {
      SCOPED_TRACE(testing::Message() << name(isa) << ' ' << model);
      const Step one = step(model, false), two = step(model, true);
      EXPECT_TRUE(same(one.logits, two.logits));
      ASSERT_EQ(one.buffers.size(), two.buffers.size());
      for (size_t i = 0; i < one.buffers.size(); ++i)
        EXPECT_TRUE(same(one.buffers[i], two.buffers[i])) << i;
      ASSERT_EQ(one.gradients.size(), two.gradients.size());
      for (size_t i = 0; i < one.gradients.size(); ++i)
        EXPECT_TRUE(same(one.gradients[i], two.gradients[i])) << i;
    }
  }
}

}  // namespace
}  // namespace stair::nn
