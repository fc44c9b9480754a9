#include "qat/insight/difference.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"

namespace stair::qat {
namespace {

Tensor codes(const std::vector<uint8_t>& values, const Shape& shape, const QParams& p) {
  return Tensor::from<uint8_t>(values, shape).with_qparams(p);
}

TEST(Difference, IsTheTextbookFormulas) {
  Difference d;
  d.add(Tensor::from<float>({3, 4}, {1, 2}), Tensor::from<float>({3, 4.5}, {1, 2}));
  d.add(Tensor::from<float>({0, 1}, {1, 2}), Tensor::from<float>({0, 1}, {1, 2}));
  EXPECT_NEAR(d.sqnr(), 10 * std::log10(26 / 0.25), 1e-9);
  EXPECT_NEAR(d.cosine(), (9 + 18 + 1) / std::sqrt(26.0 * 30.25), 1e-12);
  EXPECT_EQ(d.largest(), 0.5);
  EXPECT_EQ(d.elements(), 4);
  EXPECT_FALSE(d.integers());
}

TEST(Difference, EqualValuesHaveNoNoise) {
  Difference d;
  d.add(Tensor::zeros({2, 2}, DType::f32), Tensor::zeros({2, 2}, DType::f32));
  EXPECT_EQ(d.sqnr(), INFINITY);
  EXPECT_EQ(d.cosine(), 1);
}

TEST(Difference, TheFirstCodeIsCountedThroughTheBatches) {
  const QParams p{{0.5F}, {2}, -1, 0, 255};
  Difference d;
  d.add(codes({1, 2, 3, 4}, {2, 2}, p), codes({1, 2, 3, 4}, {2, 2}, p));
  EXPECT_FALSE(d.first());
  d.add(codes({1, 2, 3, 4}, {2, 2}, p), codes({1, 2, 5, 0}, {2, 2}, p));
  EXPECT_TRUE(d.integers());
  EXPECT_TRUE(d.same_steps());
  EXPECT_EQ(d.different(), 2);
  ASSERT_TRUE(d.first());
  EXPECT_EQ(d.first()->index, (std::vector<int64_t>{3, 0}));
  EXPECT_EQ(d.first()->a, 3);
  EXPECT_EQ(d.first()->b, 5);
  EXPECT_EQ(d.largest(), 2);
}

TEST(Difference, OtherScalesAreSeenBehindEqualCodes) {
  Difference d;
  d.add(codes({1, 2}, {1, 2}, {{0.5F}, {0}, -1, 0, 255}),
        codes({1, 2}, {1, 2}, {{0.25F}, {0}, -1, 0, 255}));
  EXPECT_EQ(d.different(), 0);
  EXPECT_FALSE(d.same_steps());
  EXPECT_EQ(d.largest(), 0.5);
}

TEST(Difference, ACodeBesideARealNumberIsNoInteger) {
  Difference d;
  d.add(codes({1, 2}, {1, 2}, {{0.5F}, {0}, -1, 0, 255}), Tensor::from<float>({0.5, 1}, {1, 2}));
  EXPECT_FALSE(d.integers());
  EXPECT_EQ(d.largest(), 0);
}

TEST(Difference, BothEndsOfTheRangeSaturateButNotTheZeroOfAReLU) {
  Saturation s;
  s.add(codes({0, 0, 7, 15}, {4}, {{1.0F}, {0}, -1, 0, 15}));
  EXPECT_EQ(s.share(), 0.25);
  Saturation both;
  both.add(codes({0, 0, 7, 15}, {4}, {{1.0F}, {8}, -1, 0, 15}));
  EXPECT_EQ(both.share(), 0.75);
  Saturation is_signed;
  is_signed.add(
      Tensor::from<int8_t>({-128, 0, 1, 127}, {4}).with_qparams({{1}, {0}, -1, -128, 127}));
  EXPECT_EQ(is_signed.low, 1);
  EXPECT_EQ(is_signed.high, 1);
}

TEST(DifferenceFault, OtherCountsAreRefused) {
  Difference d;
  EXPECT_THROW(d.add(Tensor::zeros({2}, DType::f32), Tensor::zeros({3}, DType::f32)), ShapeError);
}

}  // namespace
}  // namespace stair::qat
