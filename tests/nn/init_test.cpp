#include "nn/init.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/parallel.h"
#include "tests/nn/values.h"

namespace stair::nn {
namespace {

struct Moments {
  double mean = 0, deviation = 0, largest = 0;
};

Moments moments(const Tensor& t) {
  Moments m;
  double squares = 0;
  for (int64_t i = 0; i < t.numel(); ++i) {
    const double v = static_cast<double>(t.data<float>()[i]);
    m.mean += v / static_cast<double>(t.numel());
    squares += v * v / static_cast<double>(t.numel());
    m.largest = std::max(m.largest, std::abs(v));
  }
  m.deviation = std::sqrt(squares - m.mean * m.mean);
  return m;
}

TEST(Fan, CountsTheConnections) {
  EXPECT_EQ(fan_of({8, 3, 5, 4}, Fan::in), 60);
  EXPECT_EQ(fan_of({8, 3, 5, 4}, Fan::out), 120);
  EXPECT_EQ(fan_of({8, 4}, Fan::in), 4);
  EXPECT_EQ(fan_of({8, 4}, Fan::out), 8);
  EXPECT_EQ(message_of<ShapeError>([] { fan_of({8}, Fan::in); }),
            "fan_of: weight [8] is neither [O,I] nor [O,KH,KW,I]");
}

TEST(Init, KaimingNormalHasTheDeviationOfItsFan) {
  const Tensor w = Tensor::empty({64, 3, 3, 128}, DType::f32);
  Random random(1);
  kaiming_normal(w, Fan::out, kReluGain, random);
  EXPECT_NEAR(moments(w).mean, 0, 1e-3);
  EXPECT_NEAR(moments(w).deviation, std::sqrt(2.0 / (64 * 9)), 5e-4);
  kaiming_normal(w, Fan::in, 1, random);
  EXPECT_NEAR(moments(w).deviation, std::sqrt(1.0 / (128 * 9)), 5e-4);
}

TEST(Init, KaimingUniformFillsItsRange) {
  const Tensor w = Tensor::empty({100, 300}, DType::f32);
  Random random(1);
  kaiming_uniform(w, Fan::in, kReluGain, random);
  EXPECT_LE(moments(w).largest, std::sqrt(6.0 / 300));
  EXPECT_GT(moments(w).largest, 0.999 * std::sqrt(6.0 / 300));
  EXPECT_NEAR(moments(w).deviation, std::sqrt(2.0 / 300), 1e-3);
}

TEST(Init, ContinuesTheStreamAsIfDrawnOneByOne) {
  Random together(7), single(7);
  const Tensor w = Tensor::empty({40000}, DType::f32);
  normal(w, 2, together);
  for (int64_t i = 0; i < w.numel(); ++i) ASSERT_EQ(w.data<float>()[i], 2 * single.normal());
  EXPECT_EQ(together.state(), single.state());
}

TEST(Init, ConstantFillsBothElementTypes) {
  const Tensor f = Tensor::empty({3}, DType::f32), d = Tensor::empty({3}, DType::f64);
  constant(f, 0.5);
  constant(d, 0.5);
  EXPECT_TRUE(same(f, Tensor::full<float>({3}, 0.5F)));
  EXPECT_TRUE(same(d, Tensor::full<double>({3}, 0.5)));
}

}  // namespace
}  // namespace stair::nn
