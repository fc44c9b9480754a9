#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/dequantize.h"
#include "tests/qat/golden_quantizer.h"
#include "tests/support/golden.h"

namespace stair::qat {
namespace {

using test::GoldenCase;

QuantizationSpec pact(QuantizationSpec spec, const char* init = "") {
  spec.quantizer = "pact";
  spec.init = init;
  return spec;
}

Variable alpha_of(const Quantizer& quantizer) {
  return quantizer.named_parameters().at(0).variable;
}

TEST(Pact, StartsAtTheRangeOrAtSix) {
  const Variable x(Tensor::from<float>({-3, 1, 2.5F}, {1, 3}));
  for (const auto& [init, alpha] : {std::pair{"", 2.5F}, {"max", 2.5F}, {"six", 6.0F}}) {
    const auto quantizer = make_quantizer(pact(activation_spec(4), init), 1, Activation::relu);
    (void)(*quantizer)(x);
    EXPECT_FLOAT_EQ(alpha_of(*quantizer).value().item<float>(), alpha) << init;
    EXPECT_FLOAT_EQ(quantizer->qparams().scale[0], alpha / 15) << init;
  }
}

TEST(Pact, LeastSquaresClipsAnOutlier) {
  std::vector<float> values(1000, 0.5F);
  for (size_t i = 0; i < 1000; ++i) values[i] = static_cast<float>(i) / 1000;
  values[7] = 4;
  const auto quantizer = make_quantizer(pact(activation_spec(2), "mse"), 1, Activation::relu);
  (void)(*quantizer)(Variable(Tensor::from<float>(values, {1, 1000})));
  EXPECT_LT(alpha_of(*quantizer).value().item<float>(), 1.5F);
}

TEST(PactGrad, BothSidesOfWeightsPullTheClip) {
  const auto quantizer = make_quantizer(pact(weight_spec(4)), 1);
  Variable w(Tensor::from<float>({0.7F, -0.2F}, {1, 2}), true);
  (void)(*quantizer)(w);
  Variable wide(Tensor::from<float>({2, -2, 0.3F}, {1, 3}), true);
  (*quantizer)(wide).backward(Tensor::from<float>({1, 10, 100}, {1, 3}));
  EXPECT_FLOAT_EQ(alpha_of(*quantizer).grad().item<float>(), 1 - 10 * 8.0F / 7);
  EXPECT_EQ(wide.grad().data<float>()[2], 100);
}

void run_pact(GoldenCase& c) {
  QuantizationSpec spec = pact(activation_spec(static_cast<int>(c.integer("bits", 8))));
  const auto quantizer = make_quantizer(spec, 1, Activation::relu);
  (void)(*quantizer)(Variable(Tensor::from<float>({1}, {1, 1})));
  alpha_of(*quantizer).value().data<float>()[0] = c.input("alpha").data<float>()[0];
  const Variable x(c.input("x"), true);
  const Variable y = autograd::dequantize((*quantizer)(x));
  c.expect_output("y", y.value());
  y.backward(c.input("gy"));
  c.expect_gradient("x", x.grad());
  c.expect_gradient("alpha", alpha_of(*quantizer).grad().reshape(c.input("alpha").shape()));
}

}  // namespace

TEST(PactGolden, CasesAgree) {
  test::run_golden_ops("lsq_tqt", {{"pact", run_pact}});
}

}  // namespace stair::qat
