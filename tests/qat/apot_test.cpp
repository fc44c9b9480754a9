#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/model.h"
#include "qat/convert.h"
#include "qat/prepare.h"

namespace stair::qat {
namespace {

QuantizationSpec apot(QuantizationSpec spec) {
  spec.quantizer = "apot";
  return spec;
}

Variable alpha_of(const Quantizer& quantizer) {
  return quantizer.named_parameters().at(0).variable;
}

// Values from -1.2 to 1.2 quantized with alpha = 1, in units of the highest level.
std::set<int> levels_in_use(const QuantizationSpec& spec, Activation activation, int highest) {
  const auto quantizer = make_quantizer(spec, 1, activation);
  Tensor x = Tensor::empty({1, 2401}, DType::f32);
  for (int64_t i = 0; i < 2401; ++i) x.data<float>()[i] = static_cast<float>(i - 1200) / 1000;
  (void)(*quantizer)(Variable(x));
  alpha_of(*quantizer).value().data<float>()[0] = 1;
  const Tensor y = (*quantizer)(Variable(x)).value();
  std::set<int> levels;
  for (int64_t i = 0; i < 2401; ++i)
    levels.insert(y.quantized() ? y.data<int8_t>()[i]
                                : static_cast<int>(std::lround(y.data<float>()[i] *
                                                               static_cast<float>(highest))));
  return levels;
}

// The sets of the paper: {0, 1/2, 1/4, 1/16} + {0, 1/8} over 10/16, and so on.
TEST(Apot, LevelsAreSumsOfPowersOfTwo) {
  EXPECT_EQ(levels_in_use(apot(weight_spec(3)), Activation::none, 4),
            (std::set<int>{-4, -2, -1, 0, 1, 2, 4}));
  EXPECT_EQ(levels_in_use(apot(weight_spec(4)), Activation::none, 10),
            (std::set<int>{-10, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 10}));
  EXPECT_EQ(levels_in_use(apot(activation_spec(4)), Activation::relu, 48),
            (std::set<int>{0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32, 33, 36, 48}));
  EXPECT_EQ(levels_in_use(apot(weight_spec(2)), Activation::none, 1), (std::set<int>{-1, 0, 1}));
}

TEST(Apot, CountOfLevelsIsThatOfTheBits) {
  EXPECT_EQ(levels_in_use(apot(activation_spec(5)), Activation::relu, 100).size(), 32U);
  EXPECT_EQ(levels_in_use(apot(weight_spec(6)), Activation::none, 100).size(), 63U);
}

TEST(Apot, WeightsThatFitAreIntegersAndTheRestIsSimulated) {
  for (int bits : {2, 3, 4, 5, 6, 8}) {
    EXPECT_EQ(make_quantizer(apot(weight_spec(bits)), 1)->simulated(), "") << bits;
  }
  EXPECT_NE(make_quantizer(apot(weight_spec(7)), 1)->simulated(), "");
  EXPECT_NE(make_quantizer(apot(activation_spec(4)), 1)->simulated(), "");
  EXPECT_EQ(make_quantizer(apot(activation_spec(8)), 1)->simulated(), "");
}

TEST(ApotGrad, TheClipAndItsInsideByHand) {
  const auto quantizer = make_quantizer(apot(weight_spec(4)), 1);
  Variable x(Tensor::from<float>({0.52F, 3, -3}, {1, 3}), true);
  (void)(*quantizer)(x);
  alpha_of(*quantizer).value().data<float>()[0] = 1;
  (*quantizer)(x).backward(Tensor::from<float>({1, 10, 100}, {1, 3}));
  // 5.2 steps lie nearest to 6; beyond the clip the gradient of weights passes.
  EXPECT_NEAR(alpha_of(*quantizer).grad().item<float>(),
              (0.6 - 0.52 + 10 - 100) / std::sqrt(3 * 10.0), 1e-4);
  EXPECT_EQ(x.grad().data<float>()[1], 10);
}

TEST(Apot, ConvertRefusesSimulatedActivationsAndSaysWhy) {
  nn::ModelOptions options;
  options.num_classes = 3;
  options.seed = 1;
  const auto model = nn::find_model("resnet20").build(options);
  const Variable x(Tensor::full<float>({2, 16, 16, 3}, 0.5F));
  nn::GraphModule qat(prepare_qat(nn::capture(*model, x), x86_config(4, 4, "apot")).graph);
  EXPECT_EQ(qat(x).shape(), (Shape{2, 3}));
  try {
    (void)convert(qat.graph());
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("apot levels of activations"), std::string::npos)
        << error.what();
    EXPECT_NE(error.hint(), "");
  }
}

}  // namespace
}  // namespace stair::qat
