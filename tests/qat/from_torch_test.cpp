// Operations of torch's quantized state dicts; whole networks: tests/apps/weights.
#include "qat/int8/from_torch.h"

#include <gtest/gtest.h>

#include "autograd/ops/concat.h"
#include "autograd/ops/mul.h"
#include "nn/layers/activation.h"
#include "tests/qat/small_graphs.h"

namespace stair::qat {
namespace {

// y = hardswish(conv(x)); concat(y * hardsigmoid(y), y).
class Gated final : public nn::Module {
 public:
  Gated() {
    conv_ = register_module("conv", small_conv(3, 2));
    act_ = register_module("act", std::make_shared<nn::Hardswish>());
    gate_ = register_module("gate", std::make_shared<nn::Hardsigmoid>());
  }
  Variable forward(const Variable& x) override {
    const Variable y = (*act_)((*conv_)(x));
    return autograd::concat({autograd::mul(y, (*gate_)(y)), y}, 3);
  }

 private:
  std::shared_ptr<nn::Module> conv_, act_, gate_;
};

nn::Weights weights(const std::vector<std::string>& formats) {
  nn::Weights w;
  w.path = "gated.pth";
  const Tensor codes = Tensor::full<int8_t>({2, 3, 3, 3}, 5);
  w.tensors.push_back({"conv.weight", codes.with_qparams({{0.5F, 1}, {0, 0}, 0, -128, 127})});
  for (size_t i = 0; i < formats.size(); ++i) {
    const float scale = static_cast<float>(i + 1) / 64;
    w.tensors.push_back({formats[i] + ".scale", Tensor::full<float>({1}, scale)});
    w.tensors.push_back(
        {formats[i] + ".zero_point", Tensor::full<int64_t>({1}, static_cast<int64_t>(i))});
  }
  return w;
}

TEST(FromTorch, EveryOperationGetsItsScale) {
  Gated model;
  const Int8Graph graph = int8_from_torch(
      graph_of(model), weights({"quant", "conv", "act", "product", "joined", "unused.of_torch"}));
  std::vector<std::string> found;
  for (const Int8Node& node : graph.nodes)
    if (!node.format.real)
      found.push_back(str(node.op, ' ', 64 * node.format.scale, ' ', node.format.zero_point));
  EXPECT_EQ(found, (std::vector<std::string>{"quantize 1 0", "conv 2 1", "table 3 2",
                                             "table 0.25 0", "mul 4 3", "concat 5 4"}));
  EXPECT_EQ(graph.nodes.back().op, "float");
}

TEST(FromTorchFault, AnOperationWithoutAScaleOrFormIsNamed) {
  Gated model;
  const auto expect = [&](const std::vector<std::string>& formats, const std::string& text) {
    try {
      (void)int8_from_torch(graph_of(model), weights(formats));
      ADD_FAILURE() << "imported, expected: " << text;
    } catch (const FormatError& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  };
  expect({"quant", "conv", "product", "joined"}, "there is no 'act.scale'");
  expect({"quant", "conv", "act", "product"}, "there is no scale for 'concat', 'NAME.scale'");
  nn::ReLU6 relu6;
  expect_config_error([&] { (void)int8_from_torch(graph_of(relu6), weights({"quant"})); },
                      {"relu6", "no form among torch's quantized operations"});
}

}  // namespace
}  // namespace stair::qat
