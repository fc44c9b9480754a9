// A graph that runs a convolution and the quantizer behind it as one gives what the two give alone,
// which it runs while somebody looks at every value.
#include <gtest/gtest.h>

#include <cstring>

#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/model.h"
#include "qat/prepare.h"
#include "tests/qat/small_graphs.h"

namespace stair::qat {
namespace {

// The logits of two training batches, then all state.
std::vector<Tensor> trained(const std::string& quantizer, int bits, bool fake_quant, bool alone) {
  autograd::default_random() = Random(7);
  const auto model = nn::find_model("resnet20").build({.num_classes = 5, .width = 0.25, .seed = 3});
  nn::GraphModule graph(
      prepare_qat(graph_of(*model, {2, 32, 32, 3}), x86_config(8, bits, quantizer)).graph);
  if (alone) graph.set_observer([](const nn::Node&, const Variable&) {});
  enable_fake_quant(graph, fake_quant);
  graph.train();
  std::vector<Tensor> values;
  for (uint64_t batch = 0; batch < 2; ++batch)
    values.push_back(graph(Variable(normal({2, 32, 32, 3}, batch))).value());
  for (const nn::NamedVariable& v : graph.named_state()) values.push_back(v.variable.value());
  return values;
}

TEST(JoinedLayers, GiveTheBitsOfEachAlone) {
  for (const char* quantizer : {"ste", "lsq", "quantnoise", "apot"})
    for (const int bits : {8, 4})
      for (const bool fake_quant : {true, false}) {
        SCOPED_TRACE(testing::Message() << quantizer << ' ' << bits << ' ' << fake_quant);
        const std::vector<Tensor> joined = trained(quantizer, bits, fake_quant, false),
                                  alone = trained(quantizer, bits, fake_quant, true);
        ASSERT_EQ(joined.size(), alone.size());
        for (size_t i = 0; i < joined.size(); ++i)
          ASSERT_EQ(std::memcmp(joined[i].raw(), alone[i].raw(), alone[i].bytes()), 0) << i;
      }
}

}  // namespace
}  // namespace stair::qat
