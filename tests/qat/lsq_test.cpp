#include <gtest/gtest.h>

#include <cmath>

#include "core/parallel.h"
#include "core/random.h"
#include "qat/quantizer.h"

namespace stair::qat {
namespace {

QuantizationSpec lsq(QuantizationSpec spec) {
  spec.quantizer = "lsq";
  return spec;
}

Variable scale_of(const Quantizer& quantizer) {
  return quantizer.named_parameters().at(0).variable;
}

TEST(Lsq, StartsAtTwiceTheMeanOverRootOfTheHighestCode) {
  const auto quantizer = make_quantizer(lsq(weight_spec(4)), 2);
  (void)(*quantizer)(Variable(Tensor::from<float>({1, -3, 0.5F, 0.5F}, {2, 2})));
  EXPECT_FLOAT_EQ(quantizer->qparams().scale[0], 2 * 2 / std::sqrt(7.0F));
  EXPECT_FLOAT_EQ(quantizer->qparams().scale[1], 2 * 0.5F / std::sqrt(7.0F));
}

TEST(Lsq, CanStartAtTheLeastSquaredError) {
  QuantizationSpec spec = lsq(weight_spec(2));
  spec.init = "mse";
  const auto quantizer = make_quantizer(spec, 1);
  // Codes -2 to 1: all values lie on the grid of step 0.5.
  (void)(*quantizer)(Variable(Tensor::from<float>({-1, -0.5F, 0, 0.5F}, {1, 4})));
  EXPECT_FLOAT_EQ(quantizer->qparams().scale[0], 0.5F);
}

TEST(Lsq, TheFirstBatchIsLatched) {
  const auto quantizer = make_quantizer(lsq(activation_spec()), 1);
  (void)(*quantizer)(Variable(Tensor::from<float>({1, 2}, {1, 2})));
  const QParams first = quantizer->qparams();
  (void)(*quantizer)(Variable(Tensor::from<float>({100, 200}, {1, 2})));
  EXPECT_EQ(quantizer->qparams(), first);
}

TEST(Lsq, UnsignedCodesOfNegativeValuesAreCentred) {
  const auto quantizer = make_quantizer(lsq(activation_spec()), 1);
  (void)(*quantizer)(Variable(Tensor::from<float>({-1, 2}, {1, 2})));
  EXPECT_EQ(quantizer->qparams().zero_point[0], 128);
  const auto relu = make_quantizer(lsq(activation_spec()), 1, Activation::relu);
  (void)(*relu)(Variable(Tensor::from<float>({-1, 2}, {1, 2})));
  EXPECT_EQ(relu->qparams().zero_point[0], 0);
}

// The published rule with its gradient scale, on numbers small enough to do by hand.
TEST(LsqGrad, GradientsOfXAndScaleByHand) {
  const auto quantizer =
      make_quantizer(lsq(weight_spec(2)), 1);  // codes -2..1, per channel with one channel
  Variable x(Tensor::from<float>({-3, -0.7F, 0.3F, 0.8F, 5}, {1, 5}), true);
  (void)(*quantizer)(x);
  scale_of(*quantizer).value().data<float>()[0] = 1;
  const Variable q = (*quantizer)(x);
  const std::vector<int8_t> codes(q.value().data<int8_t>(), q.value().data<int8_t>() + 5);
  EXPECT_EQ(codes, (std::vector<int8_t>{-2, -1, 0, 1, 1}));
  q.backward(Tensor::from<float>({1, 1, 1, 1, 1}, {1, 5}));
  const std::vector<float> gx(x.grad().data<float>(), x.grad().data<float>() + 5);
  EXPECT_EQ(gx, (std::vector<float>{0, 1, 1, 1, 0}));
  // -2, -1 + 0.7, 0 - 0.3, 1 - 0.8, 1; times 1 / sqrt(5 * 1)
  EXPECT_NEAR(scale_of(*quantizer).grad().item<float>(),
              (-2 - 0.3 - 0.3 + 0.2 + 1) / std::sqrt(5.0), 1e-6);
}

TEST(LsqGrad, BitsDoNotDependOnThreads) {
  std::vector<float> values(300000);
  Random random(5);
  for (float& v : values) v = random.normal();
  const int threads = num_threads();
  std::vector<float> gradients;
  for (int count : {1, 2, 4}) {
    set_num_threads(count);
    const auto quantizer = make_quantizer(lsq(activation_spec(4)), 1);
    Variable x(Tensor::from<float>(values, {3, 100000}), true);
    (*quantizer)(x).backward(Tensor::from<float>(values, {3, 100000}));
    gradients.push_back(scale_of(*quantizer).grad().item<float>());
  }
  set_num_threads(threads);
  EXPECT_EQ(gradients[0], gradients[1]);
  EXPECT_EQ(gradients[0], gradients[2]);
}

TEST(Lsq, LearningOffStopsTheGradientOfTheScale) {
  const auto quantizer = make_quantizer(lsq(activation_spec()), 1);
  Variable x(Tensor::from<float>({1, 2}, {1, 2}), true);
  (void)(*quantizer)(x);
  quantizer->enable_learning(false);
  (*quantizer)(x).backward(Tensor::full<float>({1, 2}, 1));
  EXPECT_FALSE(scale_of(*quantizer).grad().defined());
}

}  // namespace
}  // namespace stair::qat
