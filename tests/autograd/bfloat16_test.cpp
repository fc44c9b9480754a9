#include "autograd/ops/bfloat16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/ops/sum.h"
#include "core/random.h"
#include "tests/support/random_codes.h"

namespace stair::autograd {
namespace {

// The nearest number of 8 significant bits; of two, the even one.
float plain(float x) {
  int exponent = 0;
  const double fraction = std::frexp(static_cast<double>(x), &exponent);
  return static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8));
}

float rounded(float x) {
  return bfloat16(Variable(Tensor::full<float>({1}, x))).value().item<float>();
}

TEST(Bfloat16Exact, IsTheNearestNumberOfEightBits) {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const float x = std::ldexp(random.normal(), static_cast<int>(random.below(80)) - 40);
    ASSERT_EQ(rounded(x), plain(x)) << x;
  }
  EXPECT_EQ(rounded(1 + 0x1p-8F), 1);  // ties go to even
  EXPECT_EQ(rounded(1 + 0x3p-8F), 1 + 0x1p-6F);
  EXPECT_EQ(rounded(-(1 + 0x1p-8F)), -1);
}

TEST(Bfloat16, EndsOfTheRange) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(rounded(std::numeric_limits<float>::max()), kInfinity);
  EXPECT_EQ(rounded(-kInfinity), -kInfinity);
  EXPECT_TRUE(std::isnan(rounded(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::signbit(rounded(-0.0F)));
}

TEST(Bfloat16, OfCodesAndItsGradient) {
  const Tensor codes = test::random_codes({40}, DType::u8, test::per_tensor(0.037F, 90, 0, 255), 1);
  const Variable y = bfloat16(Variable(codes));
  for (int64_t i = 0; i < 40; ++i)
    EXPECT_EQ(y.value().data<float>()[i],
              plain(static_cast<float>(codes.data<uint8_t>()[i] - 90) * 0.037F));
  const Variable x(Tensor::full<float>({3}, 1.2345F), true);
  sum(bfloat16(x)).backward();
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(x.grad().data<float>()[i], 1);
  EXPECT_THROW((void)bfloat16(Variable(Tensor::zeros({1}, DType::f64))), DTypeError);
}

}  // namespace
}  // namespace stair::autograd
