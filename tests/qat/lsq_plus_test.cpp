#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/dequantize.h"
#include "tests/qat/golden_quantizer.h"
#include "tests/support/golden.h"

namespace stair::qat {
namespace {

using test::GoldenCase;

QuantizationSpec lsq_plus(QuantizationSpec spec) {
  spec.quantizer = "lsq_plus";
  return spec;
}

Variable parameter_of(const Quantizer& quantizer, size_t i) {
  return quantizer.named_parameters().at(i).variable;
}

TEST(LsqPlus, ActivationsStartAtTheSmallestValueWithZeroAsACode) {
  const auto quantizer = make_quantizer(lsq_plus(activation_spec(2)), 1);
  // Codes 0 to 3 of step 1 hold -1 to 2.
  const Variable q = (*quantizer)(Variable(Tensor::from<float>({-1, 0, 1, 2}, {1, 4})));
  EXPECT_FLOAT_EQ(q.value().qparams().scale[0], 1);
  EXPECT_EQ(q.value().qparams().zero_point[0], 1);
  EXPECT_FLOAT_EQ(parameter_of(*quantizer, 1).value().item<float>(), -1);
}

TEST(LsqPlus, WeightsHaveNoOffset) {
  const auto quantizer = make_quantizer(lsq_plus(weight_spec(4)), 1);
  (void)(*quantizer)(Variable(Tensor::from<float>({0, 1, 2}, {1, 3})));
  EXPECT_EQ(quantizer->named_parameters().size(), 1U);
  EXPECT_EQ(quantizer->qparams().zero_point[0], 0);
}

TEST(LsqPlus, TheOffsetMovesTheZeroPointAndStaysInRange) {
  const auto quantizer = make_quantizer(lsq_plus(activation_spec(4)), 1);
  (void)(*quantizer)(Variable(Tensor::from<float>({-1, 1}, {1, 2})));
  parameter_of(*quantizer, 0).value().data<float>()[0] = 0.5F;
  for (const auto& [offset, zero] : {std::pair{-2.0F, 4}, {-2.1F, 4}, {3.0F, 0}, {-100.0F, 15}}) {
    parameter_of(*quantizer, 1).value().data<float>()[0] = offset;
    EXPECT_EQ(quantizer->qparams().zero_point[0], zero) << offset;
  }
}

TEST(LsqPlusGrad, OffsetGetsTheGradientOfWhatIsOutside) {
  const auto quantizer = make_quantizer(lsq_plus(activation_spec(2)), 1);
  Variable x(Tensor::from<float>({-1, 0, 1, 2}, {1, 4}), true);
  (void)(*quantizer)(x);
  Variable far(Tensor::from<float>({-5, 0.2F, 1, 9}, {1, 4}), true);
  (*quantizer)(far).backward(Tensor::from<float>({1, 2, 4, 8}, {1, 4}));
  const std::vector<float> gx(far.grad().data<float>(), far.grad().data<float>() + 4);
  EXPECT_EQ(gx, (std::vector<float>{0, 2, 4, 0}));
  EXPECT_NEAR(parameter_of(*quantizer, 1).grad().item<float>(), 9 / std::sqrt(4 * 3.0), 1e-6);
}

// The reference's offset is free; ours is a whole number of steps. Shifted by the offset, both
// quantize the same numbers.
void run_lsq_plus(GoldenCase& c) {
  const Tensor x = c.input("x"), gy = c.input("gy");
  const float beta = c.input("beta").data<float>()[0];
  const auto quantizer =
      make_quantizer(lsq_plus(spec_of_codes(static_cast<int32_t>(c.integer("n", 0)),
                                            static_cast<int32_t>(c.integer("p", 0)))),
                     1);
  (void)(*quantizer)(Variable(Tensor::from<float>({1}, {1, 1})));
  parameter_of(*quantizer, 0).value().data<float>()[0] = c.input("s").data<float>()[0];
  parameter_of(*quantizer, 1).value().data<float>()[0] = 0;
  Tensor shifted = x.clone().reshape({1, x.numel()});
  for (int64_t i = 0; i < x.numel(); ++i) shifted.data<float>()[i] -= beta;
  const Variable rows(shifted, true);
  const Variable y = autograd::dequantize((*quantizer)(rows));
  Tensor back = y.value().reshape(x.shape()).clone();
  for (int64_t i = 0; i < x.numel(); ++i) back.data<float>()[i] += beta;
  c.expect_output("y", back);
  y.backward(gy.reshape(shifted.shape()));
  c.expect_gradient("x", rows.grad().reshape(x.shape()));
  c.expect_gradient("s", parameter_of(*quantizer, 0).grad().reshape(c.input("s").shape()));
  c.expect_gradient("beta", parameter_of(*quantizer, 1).grad().reshape(c.input("beta").shape()));
}

void run_weight_init(GoldenCase& c) {
  QuantizationSpec spec = lsq_plus(weight_spec(static_cast<int>(c.integer("bits", 8))));
  spec.axis = -1;
  const auto quantizer = make_quantizer(spec, 1);
  (void)(*quantizer)(Variable(c.input("w")));
  c.expect_output("s", parameter_of(*quantizer, 0).value().reshape(c.output("s").shape()));
}

}  // namespace

TEST(LsqPlusGolden, CasesAgree) {
  test::run_golden_ops("lsq_tqt",
                       {{"lsq_plus", run_lsq_plus}, {"lsq_plus_weight_init", run_weight_init}});
}

}  // namespace stair::qat
