#include <gtest/gtest.h>

#include <cmath>

#include "qat/quantizer.h"

namespace stair::qat {
namespace {

std::shared_ptr<Quantizer> unit_step() {
  QuantizationSpec spec = weight_spec(4);
  spec.quantizer = "ewgs";
  const auto quantizer = make_quantizer(spec, 1);
  (void)(*quantizer)(Variable(Tensor::from<float>({1}, {1, 1})));
  quantizer->named_parameters().at(0).variable.value().data<float>()[0] = 1;
  return quantizer;
}

TEST(EwgsGrad, GradientsGrowTowardsTheNearerBorderOfTheCell) {
  const auto quantizer = unit_step();
  const std::vector<float> values{0.4F, -0.4F, 0.4F, 2, 9}, gy{1, 1, -2, 3, 4};
  Variable x(Tensor::from<float>(values, {1, 5}), true);
  const Variable q = (*quantizer)(x);
  const std::vector<int8_t> codes(q.value().data<int8_t>(), q.value().data<int8_t>() + 5);
  EXPECT_EQ(codes, (std::vector<int8_t>{0, 0, 0, 2, 7}));
  q.backward(Tensor::from<float>(gy, {1, 5}));
  const float* gx = x.grad().data<float>();
  EXPECT_FLOAT_EQ(gx[0], 1 + 0.2F * 0.4F);
  EXPECT_FLOAT_EQ(gx[1], 1 - 0.2F * 0.4F);
  EXPECT_FLOAT_EQ(gx[2], -2 + 0.2F * 2 * 0.4F);
  EXPECT_FLOAT_EQ(gx[3], 3);
  EXPECT_EQ(gx[4], 0);
}

TEST(EwgsGrad, TheStepLearnsAsInLsq) {
  const auto quantizer = unit_step();
  Variable x(Tensor::from<float>({0.4F, 2.25F, 9, -20}, {1, 4}), true);
  (*quantizer)(x).backward(Tensor::from<float>({1, 10, 100, 1000}, {1, 4}));
  EXPECT_NEAR(quantizer->named_parameters().at(0).variable.grad().item<float>(),
              (-0.4 - 2.5 + 700 - 8000) / std::sqrt(4 * 7.0), 1e-3);
}

}  // namespace
}  // namespace stair::qat
