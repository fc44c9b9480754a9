#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "autograd/ops/dequantize.h"
#include "qat/quantizer.h"
#include "tests/support/golden.h"

namespace stair::qat {
namespace {

using test::GoldenCase;

QuantizationSpec dorefa(QuantizationSpec spec) {
  spec.quantizer = "dorefa";
  return spec;
}

float largest(const Tensor& w) {
  float most = 0;
  for (int64_t i = 0; i < w.numel(); ++i) most = std::max(most, std::abs(w.data<float>()[i]));
  return most;
}

Tensor times(const Tensor& t, float factor) {
  Tensor y = t.clone();
  for (int64_t i = 0; i < y.numel(); ++i) y.data<float>()[i] *= factor;
  return y;
}

TEST(Dorefa, WeightsLieOnTheOddCodesAndKeepTheirMagnitude) {
  const auto quantizer = make_quantizer(dorefa(weight_spec(2)), 2);
  const Variable q =
      (*quantizer)(Variable(Tensor::from<float>({-4, 0.1F, 1, 4, 0.5F, -0.25F, 0, 0.1F}, {2, 4})));
  const std::vector<int8_t> codes(q.value().data<int8_t>(), q.value().data<int8_t>() + 8);
  for (int8_t code : codes) EXPECT_TRUE(std::set<int>({-3, -1, 1, 3}).contains(code)) << +code;
  EXPECT_EQ(codes[0], -3);
  EXPECT_EQ(codes[3], 3);
  EXPECT_NEAR(q.value().qparams().scale[0] * 3, 4, 1e-5);
  EXPECT_NEAR(q.value().qparams().scale[1] * 3, 0.5, 1e-6);
}

TEST(Dorefa, EightBitWeightsHaveAZero) {
  const auto quantizer = make_quantizer(dorefa(weight_spec(8)), 1);
  const Variable q = (*quantizer)(Variable(Tensor::from<float>({-1, 0, 1}, {1, 3})));
  const std::vector<int8_t> codes(q.value().data<int8_t>(), q.value().data<int8_t>() + 3);
  EXPECT_EQ(codes, (std::vector<int8_t>{-127, 0, 127}));
}

TEST(Dorefa, ActivationsBelowEightBitsEndAtOne) {
  const auto quantizer = make_quantizer(dorefa(activation_spec(4)), 1, Activation::relu);
  const Variable q = (*quantizer)(Variable(Tensor::from<float>({-1, 0.5F, 7}, {3})));
  EXPECT_FLOAT_EQ(q.value().qparams().scale[0], 1.0F / 15);
  EXPECT_EQ(q.value().data<uint8_t>()[2], 15);
  const auto wide = make_quantizer(dorefa(activation_spec(8)), 1, Activation::relu);
  EXPECT_FLOAT_EQ((*wide)(Variable(Tensor::from<float>({7}, {1}))).value().qparams().scale[0],
                  7.0F / 255);
}

TEST(DorefaGrad, IsTheSlopeOfTanh) {
  const auto quantizer = make_quantizer(dorefa(weight_spec(4)), 1);
  Variable w(Tensor::from<float>({-2, 0.5F, 0}, {1, 3}), true);
  (*quantizer)(w).backward(Tensor::full<float>({1, 3}, 1));
  const auto slope = [](double x) {
    return 2 * (1 - std::tanh(x) * std::tanh(x)) / std::tanh(2.0);
  };
  EXPECT_NEAR(w.grad().data<float>()[1], slope(0.5), 1e-5);
  EXPECT_NEAR(w.grad().data<float>()[2], slope(0), 1e-5);
}

// The reference's weights end at 1, ours at the largest one.
void run_weight(GoldenCase& c) {
  const Tensor w = c.input("w");
  QuantizationSpec spec = dorefa(weight_spec(static_cast<int>(c.integer("bits", 8))));
  spec.axis = -1;
  const auto quantizer = make_quantizer(spec, 1);
  const Variable x(w, true);
  const Variable y = autograd::dequantize((*quantizer)(x));
  c.expect_output("y", times(y.value(), 1 / largest(w)));
  // Ours takes the largest weight as a constant.
  if (!c.flag("max_is_constant_in_backward", true)) return c.leave_rest();
  y.backward(c.input("gy"));
  c.expect_gradient("w", times(x.grad(), 1 / largest(w)));
}

void run_activation(GoldenCase& c) {
  const auto quantizer = make_quantizer(
      dorefa(activation_spec(static_cast<int>(c.integer("bits", 8)))), 1, Activation::relu);
  const Variable x(c.input("x"), true);
  const Variable y = autograd::dequantize((*quantizer)(x));
  c.expect_output("y", y.value());
  y.backward(c.input("gy"));
  c.expect_gradient("x", x.grad());
}

}  // namespace

TEST(DorefaGolden, CasesAgree) {
  test::run_golden_ops("lsq_tqt",
                       {{"dorefa_weight", run_weight}, {"dorefa_activation", run_activation}});
}

}  // namespace stair::qat
