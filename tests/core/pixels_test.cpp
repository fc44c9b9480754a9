#include "core/pixels.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "core/random.h"

namespace stair {
namespace {

Pixels random_pixels(Random& random, int64_t pixels, size_t channels) {
  std::vector<float> mean, std;
  for (size_t c = 0; c < channels; ++c) {
    mean.push_back(random.uniform());
    std.push_back(0.1F + random.uniform());
  }
  Pixels p{Tensor::empty({pixels, static_cast<int64_t>(channels)}, DType::u8),
           values_of_bytes(mean, std)};
  for (int64_t i = 0; i < p.bytes.numel(); ++i)
    p.bytes.data<uint8_t>()[i] = static_cast<uint8_t>(40 + random.below(150));
  return p;
}

TEST(Pixels, StandForNormalizedNumbers) {
  const std::array<float, 2> mean = {0.485F, 0.5F}, std = {0.229F, 0.25F};
  const Tensor values = values_of_bytes(mean, std);
  EXPECT_EQ(values.shape(), (Shape{2, 256}));
  EXPECT_EQ(values.data<float>()[0], (0.0F / 255.0F - 0.485F) / 0.229F);
  EXPECT_EQ(values.data<float>()[256 + 255], (255.0F / 255.0F - 0.5F) / 0.25F);
}

TEST(Pixels, ValuesRangeAndTablesAreThoseOfEachByte) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Random random(seed);
    const int64_t count = 1 + static_cast<int64_t>(random.below(seed % 10 == 0 ? 200'000 : 300));
    const size_t channels = 1 + random.below(5);
    const Pixels p = random_pixels(random, count, channels);
    const Tensor reals = p.reals();
    ASSERT_EQ(reals.shape(), p.bytes.shape());
    Tensor table = Tensor::empty(p.values.shape(), DType::u8), codes = p.bytes.clone();
    for (int64_t i = 0; i < table.numel(); ++i)
      table.data<uint8_t>()[i] = static_cast<uint8_t>(random.below(256));
    look_up_bytes(p.bytes.data<uint8_t>(), count, static_cast<int64_t>(channels),
                  table.data<uint8_t>(), codes.data<uint8_t>());
    float min = std::numeric_limits<float>::infinity(), max = -min;
    for (int64_t i = 0; i < p.bytes.numel(); ++i) {
      const int64_t entry = 256 * (i % static_cast<int64_t>(channels)) + p.bytes.data<uint8_t>()[i];
      const float value = p.values.data<float>()[entry];
      ASSERT_EQ(reals.data<float>()[i], value) << seed;
      ASSERT_EQ(codes.data<uint8_t>()[i], table.data<uint8_t>()[entry]) << seed;
      min = std::min(min, value), max = std::max(max, value);
    }
    EXPECT_EQ(p.range(), std::pair(min, max)) << seed;
  }
}

TEST(Pixels, NoneHaveAnEmptyRange) {
  Random random(1);
  const auto [min, max] = random_pixels(random, 0, 3).range();
  EXPECT_GT(min, max);
}

TEST(Pixels, NormalizingNeedsAPositiveDeviationAndFiniteValues) {
  const auto refused = [](float mean, float std) {
    try {
      (void)values_of_bytes(std::span(&mean, 1), std::span(&std, 1));
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refused(0.5F, 0.25F), "");
  EXPECT_EQ(refused(0.5F, 0),
            "pixels: mean 0.5 std 0 of channel 0, expected finite values and a "
            "positive std");
  EXPECT_NE(refused(0.5F, -1), "");
  EXPECT_NE(refused(0.5F, 1e-45F), "");
  EXPECT_NE(refused(std::numeric_limits<float>::quiet_NaN(), 1), "");
}

}  // namespace
}  // namespace stair
