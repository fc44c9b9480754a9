#include "autograd/profile.h"

#include <gtest/gtest.h>

#include <chrono>

#include "autograd/ops/mul.h"
#include "autograd/ops/sum.h"

namespace stair::autograd {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void spend(double seconds) {
  const auto start = Clock::now();
  while (seconds_since(start) < seconds) continue;
}

// An operation whose backward takes a while.
Variable slow(const Variable& x) {
  return record("slow", {x}, x.value().clone(), [](const Tensor& gy) {
    spend(0.002);
    return std::vector<Tensor>{gy};
  });
}

TEST(Profile, ForwardAndBackwardCountForTheLayerThatRanTheOperation) {
  const Variable x(Tensor::full<float>({4}, 1.0F), true);
  const auto start = Clock::now();
  const Profile profile(3);
  Variable y = x;
  {
    const LayerScope layer(1);
    y = slow(y);
    spend(0.001);
  }
  sum(y).backward();
  const double whole = seconds_since(start);
  EXPECT_GE(profile.layers()[1].forward_s, 0.001);
  EXPECT_GE(profile.layers()[1].backward_s, 0.002);
  EXPECT_LE(profile.layers()[1].forward_s + profile.layers()[1].backward_s, whole);
  EXPECT_EQ(profile.layers()[0].forward_s, 0);
  EXPECT_EQ(profile.layers()[2].backward_s, 0);
}

TEST(Profile, AnInnerLayerTakesItsTimeFromTheOuterOne) {
  const auto start = Clock::now();
  const Profile profile(2);
  {
    const LayerScope outer(0);
    const LayerScope inner(1);
    spend(0.002);
  }
  EXPECT_GE(profile.layers()[1].forward_s, 0.002);
  EXPECT_LE(profile.layers()[0].forward_s, seconds_since(start) - 0.002);
}

TEST(Profile, BytesAreThoseOfOperandsAndResults) {
  const Profile profile(1);
  const Variable x(Tensor::full<float>({100}, 1.0F), true);
  {
    const LayerScope layer(0);
    (void)mul(x, x);
  }
  (void)mul(x, x);
  EXPECT_EQ(profile.layers()[0].bytes, 1200U);
}

TEST(Profile, NothingIsCountedWithoutOne) {
  EXPECT_EQ(Profile::layer(), -1);
  const LayerScope layer(0);
  EXPECT_EQ(Profile::layer(), -1);
}

}  // namespace
}  // namespace stair::autograd
