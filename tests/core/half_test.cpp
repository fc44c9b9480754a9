#include "core/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

namespace stair {

TEST(HalfExact, EqualsTheDefinitionForAllBits) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const uint32_t exponent = (bits >> 10) & 31, fraction = bits & 1023;
    const float sign = bits & 0x8000 ? -1.0F : 1.0F;
    const float value = half_to_float(static_cast<uint16_t>(bits));
    if (exponent == 31 && fraction != 0) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      continue;
    }
    float wanted = INFINITY;
    if (exponent == 0) wanted = std::ldexp(static_cast<float>(fraction), -24);
    if (exponent > 0 && exponent < 31)
      wanted = std::ldexp(static_cast<float>(1024 + fraction), static_cast<int>(exponent) - 25);
    ASSERT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(sign * wanted)) << bits;
  }
}

TEST(HalfExact, Bfloat16IsTheUpperHalfOfAFloat) {
  EXPECT_EQ(bfloat16_to_float(0x3F80), 1.0F);
  EXPECT_EQ(bfloat16_to_float(0xC049), -3.140625F);
  EXPECT_EQ(bfloat16_to_float(0x7F80), INFINITY);
}

}  // namespace stair
