#include "autograd/ops/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/ops/dequantize.h"
#include "autograd/ops/fake_quantize.h"
#include "autograd/ops/learnable_fake_quantize.h"
#include "core/parallel.h"
#include "tests/support/gradcheck.h"
#include "tests/support/random_codes.h"

namespace stair::autograd {
namespace {

using test::per_tensor;

Variable leaf(const std::vector<float>& v) {
  return Variable(Tensor::from<float>(v, {static_cast<int64_t>(v.size())}), true);
}

template <class T>
std::vector<T> values(const Tensor& t) {
  return {t.data<T>(), t.data<T>() + t.numel()};
}

Tensor ones(const Variable& like) {
  return Tensor::full<float>(like.shape(), 1);
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST(Quantize, CodesAreRoundedToEvenAndSaturate) {
  const Variable x = leaf({0.25F, 0.75F, -0.25F, 1000, -1000, kInfinity, -kInfinity, NAN});
  const Variable y = quantize(x, per_tensor(0.5F, 10, 0, 15), DType::u8);
  EXPECT_EQ(values<uint8_t>(y.value()), (std::vector<uint8_t>{10, 12, 10, 15, 0, 15, 0, 10}));
  EXPECT_EQ(y.value().qparams().zero_point[0], 10);
}

TEST(Quantize, GradientPassesWhereTheUnclampedCodeIsInRange) {
  // Codes before the clamp: 16 and -1 are outside, 15 and 0 the ends.
  const Variable x = leaf({2.5F, 2.75F, 3, -5, -5.25F, -5.5F, NAN, kInfinity});
  quantize(x, per_tensor(0.5F, 10, 0, 15), DType::u8).backward(Tensor::full<float>({8}, 3));
  EXPECT_EQ(values<float>(x.grad()), (std::vector<float>{3, 0, 0, 3, 3, 0, 0, 0}));
}

TEST(Quantize, FusedReluAlsoStopsTheGradientBelowZero) {
  const Variable x = leaf({-1, 0, 0.1F, 1});
  const Variable y = quantize(x, per_tensor(0.5F, 3, 0, 15), DType::u8, true);
  EXPECT_EQ(values<uint8_t>(y.value()), (std::vector<uint8_t>{3, 3, 3, 5}));
  y.backward(ones(y));
  EXPECT_EQ(values<float>(x.grad()), (std::vector<float>{0, 0, 1, 1}));
}

TEST(Quantize, ChannelsHaveTheirOwnScales) {
  const Variable x(Tensor::from<float>({1, 1, 1, 1}, {2, 2}), true);
  const QParams p{{0.5F, 0.25F}, {0, 0}, 1, -2, 2};
  const Variable y = quantize(x, p, DType::s8);
  EXPECT_EQ(values<int8_t>(y.value()), (std::vector<int8_t>{2, 2, 2, 2}));
  y.backward(Tensor::full<float>({2, 2}, 1));
  EXPECT_EQ(values<float>(x.grad()), (std::vector<float>{1, 0, 1, 0}));
}

TEST(Quantize, DoubleInputGetsADoubleGradient) {
  const Variable x(Tensor::from<double>({0.5, 100}, {2}), true);
  const Variable y = dequantize(quantize(x, per_tensor(0.5F, 0, -8, 7), DType::s8));
  EXPECT_EQ(y.dtype(), DType::f32);
  y.backward(Tensor::full<float>({2}, 2));
  EXPECT_EQ(values<double>(x.grad()), (std::vector<double>{2, 0}));
}

TEST(FakeQuantize, EqualsQuantizeAndDequantizeBitForBit) {
  const Variable x(Tensor::empty({1000}, DType::f32), true);
  Random random(5);
  for (int64_t i = 0; i < 1000; ++i) x.value().data<float>()[i] = random.uniform(-9, 9);
  const QParams p = per_tensor(0.0613F, 7, -128, 127);
  const Variable y = fake_quantize(x, p);
  EXPECT_EQ(values<float>(y.value()),
            values<float>(dequantize(quantize(x.detach(), p, DType::s8)).value()));
  y.backward(ones(y));
  for (int64_t i = 0; i < 1000; ++i) {
    const float v = std::nearbyint(x.value().data<float>()[i] * (1 / 0.0613F)) + 7;
    ASSERT_EQ(x.grad().data<float>()[i], v >= -128 && v <= 127 ? 1.0F : 0.0F) << i;
  }
}

TEST(LearnableFakeQuantize, GradientsAreThoseOfTheFormula) {
  // scale 0.5, zero point rne(1.4) = 1, range 0 to 7: codes before the clamp 3, -3, 9, 2.
  const Variable x = leaf({1.1F, -2, 4, 0.6F});
  const Variable scale = leaf({0.5F}), zero = leaf({1.4F});
  const Variable y = learnable_fake_quantize(x, scale, zero, 0, 7, -1, 0.5);
  EXPECT_EQ(values<float>(y.value()), (std::vector<float>{1, -0.5F, 3, 0.5F}));
  y.backward(Tensor::from<float>({1, 2, 3, 4}, {4}));
  EXPECT_EQ(values<float>(x.grad()), (std::vector<float>{1, 0, 0, 4}));
  const float inside = (1 - 1.1F) / 0.5F * 1 + (0.5F - 0.6F) / 0.5F * 4;
  EXPECT_NEAR(*scale.grad().data<float>(), 0.5F * (inside + 2 * (0 - 1) + 3 * (7 - 1)), 1e-6);
  EXPECT_NEAR(*zero.grad().data<float>(), 0.5F * -0.5F * (2 + 3), 1e-6);
}

TEST(LearnableFakeQuantize, PerTensorGradientsRoundANegativeZeroPointTowardsZero) {
  // zero point -1.4: forward -1, backward trunc(-0.9) = 0, so that code 3 becomes 4,
  // outside.
  const Variable x = leaf({4}), scale = leaf({1}), zero = leaf({-1.4F});
  const Variable y = learnable_fake_quantize(x, scale, zero, -4, 3);
  EXPECT_EQ(*y.value().data<float>(), 4);
  y.backward();
  EXPECT_EQ(*x.grad().data<float>(), 0);
  EXPECT_EQ(*scale.grad().data<float>(), 3);
  EXPECT_EQ(*zero.grad().data<float>(), -1);
}

TEST(LearnableFakeQuantize, ChannelsAreIndependentAlongEveryAxis) {
  const Tensor x = test::random_real({3, 4, 5}, 1, -3, 3);
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t channels = x.size(axis);
    const Variable whole(x, true), zero(Tensor::full<double>({channels}, 1), true);
    const Variable scale = test::random_leaf({channels}, 2, 0.1, 0.5);
    const Tensor gy = test::random_real(x.shape(), 3);
    learnable_fake_quantize(whole, scale, zero, -4, 3, axis).backward(gy);
    for (int64_t c = 0; c < channels; ++c) {
      std::vector<double> xc, gc;
      int64_t inner = 1;
      for (int i = axis + 1; i < 3; ++i) inner *= x.size(i);
      for (int64_t i = 0; i < x.numel(); ++i)
        if (i / inner % channels == c)
          xc.push_back(x.data<double>()[i]), gc.push_back(gy.data<double>()[i]);
      const Shape one{static_cast<int64_t>(xc.size())};
      const Variable part(Tensor::from<double>(xc, one), true),
          z(Tensor::full<double>({1}, 1), true);
      const Variable s(Tensor::full<double>({1}, scale.value().data<double>()[c]), true);
      learnable_fake_quantize(part, s, z, -4, 3).backward(Tensor::from<double>(gc, one));
      EXPECT_NEAR(scale.grad().data<double>()[c], *s.grad().data<double>(), 1e-12);
      EXPECT_NEAR(zero.grad().data<double>()[c], *z.grad().data<double>(), 1e-12);
    }
  }
}

TEST(LearnableFakeQuantize, SumsDoNotDependOnThreads) {
  const auto gradient = [] {
    const Variable x(Tensor::empty({3, 30001}, DType::f32), true);
    Random random(5);
    for (int64_t i = 0; i < x.value().numel(); ++i)
      x.value().data<float>()[i] = random.uniform(-3, 3);
    const Variable scale = leaf({0.1F, 0.2F, 0.3F}), zero = leaf({0, 0, 0});
    const Variable y = learnable_fake_quantize(x, scale, zero, -8, 7, 0);
    y.backward(x.value());
    return values<float>(scale.grad());
  };
  const int before = num_threads();
  set_num_threads(1);
  const std::vector<float> one = gradient();
  set_num_threads(4);
  EXPECT_EQ(gradient(), one);
  set_num_threads(before);
}

TEST(LearnableFakeQuantize, NanHasNoValueAndNoGradient) {
  const Variable x = leaf({NAN, 1}), scale = leaf({0.5F}), zero = leaf({0});
  const Variable y = learnable_fake_quantize(x, scale, zero, -8, 7);
  EXPECT_EQ(values<float>(y.value()), (std::vector<float>{0, 1}));
  y.backward(ones(y));
  EXPECT_EQ(values<float>(x.grad()), (std::vector<float>{0, 1}));
  EXPECT_EQ(*scale.grad().data<float>(), 0);
}

}  // namespace stair::autograd
