#include <gtest/gtest.h>

#include <cmath>

#include "qat/quantizer.h"

namespace stair::qat {
namespace {

std::shared_ptr<Quantizer> unit_step() {
  QuantizationSpec spec = activation_spec(2);
  spec.quantizer = "dsq";
  spec.observer = "minmax";
  const auto quantizer = make_quantizer(spec, 1);
  (void)(*quantizer)(Variable(Tensor::from<float>({0, 3}, {2})));
  quantizer->enable_observer(false);
  return quantizer;
}

std::vector<float> gradients(const std::vector<float>& values) {
  const auto quantizer = unit_step();
  const int64_t n = static_cast<int64_t>(values.size());
  Variable x(Tensor::from<float>(values, {n}), true);
  (*quantizer)(x).backward(Tensor::full<float>({n}, 1));
  return {x.grad().data<float>(), x.grad().data<float>() + n};
}

TEST(Dsq, TheForwardRounds) {
  const auto quantizer = unit_step();
  const Variable q = (*quantizer)(Variable(Tensor::from<float>({-1, 0.4F, 0.6F, 2.6F, 8}, {5})));
  const std::vector<uint8_t> codes(q.value().data<uint8_t>(), q.value().data<uint8_t>() + 5);
  EXPECT_EQ(codes, (std::vector<uint8_t>{0, 0, 1, 3, 3}));
}

TEST(DsqGrad, IsSteepWhereTheCodeChangesAndZeroOutside) {
  const std::vector<float> g = gradients({-0.2F, 0.5F, 1.0F, 1.5F, 1.9F, 3.2F});
  EXPECT_EQ(g[0], 0);
  EXPECT_EQ(g[5], 0);
  EXPECT_FLOAT_EQ(g[1], g[3]);
  EXPECT_GT(g[1], 1);
  EXPECT_LT(g[2], 1);
  EXPECT_GT(g[4], g[2]);
  EXPECT_LT(g[4], g[3]);
}

// The soft stair climbs one step a cell: its slope has mean 1.
TEST(DsqGrad, MeanOverACellIsOne) {
  std::vector<float> values(1000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = 1 + (static_cast<float>(i) + 0.5F) / 1000;
  double mean = 0;
  for (float g : gradients(values)) mean += g / 1000;
  EXPECT_NEAR(mean, 1, 1e-4);
}

}  // namespace
}  // namespace stair::qat
