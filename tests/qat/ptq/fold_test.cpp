#include <gtest/gtest.h>

#include <cmath>

#include "tests/qat/ptq/small_model.h"

namespace stair::qat {
namespace {

TEST(FoldBatchNorm, LeavesTheFunctionAndNoBatchNorm) {
  for (const char* name : {"mobilenet_v2", "resnet18", "resnet20"}) {
    const nn::Graph graph = small_model(true, name);
    const nn::Graph folded = fold_batch_norm(graph);
    for (const nn::Node& node : folded.nodes()) EXPECT_NE(node.op, "batch_norm") << node.name;
    nn::GraphModule before(graph), after(folded);
    const Tensor x = pictures(2, 3), expected = outputs_of(before, x);
    EXPECT_LT(distance(expected, outputs_of(after, x)),
              1e-4 * (1 + std::abs(expected.data<float>()[0])))
        << name;
  }
}

TEST(FoldBatchNorm, KeepsTheNamesOfWeightsAndTheOldGraph) {
  const nn::Graph graph = small_model();
  const size_t nodes = graph.nodes().size();
  const nn::Graph folded = fold_batch_norm(graph);
  EXPECT_EQ(graph.nodes().size(), nodes);
  for (const nn::Node& node : graph.nodes())
    if (node.op == "parameter" && node.shape.rank() > 1) {
      EXPECT_NE(folded.find(node.name), nullptr) << node.name;
    }
  EXPECT_NE(folded.find("features.0.0.bias"), nullptr);
}

}  // namespace
}  // namespace stair::qat
