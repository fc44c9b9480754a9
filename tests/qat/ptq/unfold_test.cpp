#include "qat/ptq/unfold.h"

#include <gtest/gtest.h>

#include <cstring>

#include "qat/ptq/equalize.h"
#include "tests/qat/ptq/small_model.h"

namespace stair::qat {
namespace {

TEST(Unfold, TheModelComputesWhatItsFoldedFormDoes) {
  const nn::Graph graph = small_model();
  nn::GraphModule model(graph.deep_copy());
  nn::Graph folded = fold_batch_norm(graph);
  (void)equalize(folded, batches_of(2));
  nn::GraphModule reference(folded);
  const Tensor x = pictures(4, 3), expected = outputs_of(reference, x);
  unfold_batch_norm(folded, model, batches_of(2));
  const double size = distance(expected, outputs_of(reference, pictures(4, 4)));
  EXPECT_LT(distance(expected, outputs_of(model, x)), 1e-3 * size);
  const int conv = weighted_nodes(folded)[0];
  const std::string& weight = folded.node(folded.node(conv).inputs[1]).name;
  EXPECT_EQ(std::memcmp(folded.find(weight)->variable.value().raw(),
                        model.graph().find(weight)->variable.value().raw(),
                        folded.find(weight)->variable.value().bytes()),
            0);
}

// Training starts from the same function: the statistics of a batch are near those kept.
TEST(Unfold, TheStatisticsOfTheBatchesAreKept) {
  nn::Graph graph = small_model();
  for (nn::Node& node : graph.nodes())
    if (node.op == "dropout") node.attributes.set("p", 0.0);
  nn::GraphModule model(graph.deep_copy());
  const nn::Graph folded = fold_batch_norm(graph);
  nn::GraphModule reference(folded);
  unfold_batch_norm(folded, model, batches_of(1));
  const Tensor x = pictures(4, 100), expected = outputs_of(reference, x);
  model.train();
  const autograd::NoGrad no_grad;
  EXPECT_LT(distance(expected, model(autograd::Variable(x)).value()),
            1e-2 * distance(expected, outputs_of(reference, pictures(4, 4))));
}

TEST(UnfoldFault, ABatchNormWithoutGainIsNamed) {
  nn::Graph graph = small_model();
  const nn::Graph folded = fold_batch_norm(graph);
  std::string name;
  for (nn::Node& node : graph.nodes())
    if (node.op == "batch_norm" && name.empty()) {
      node.inputs[1] = -1;
      name = node.name;
    }
  nn::GraphModule model(graph);
  try {
    unfold_batch_norm(folded, model, batches_of(1));
    FAIL() << "no error";
  } catch (const ConfigError& e) {
    EXPECT_NE(std::string(e.what()).find(name), std::string::npos);
  }
}

}  // namespace
}  // namespace stair::qat
