#include "core/packed_codes.h"

#include <gtest/gtest.h>

#include <vector>

namespace stair {
namespace {

TEST(PackedCodes, TheFirstCodeIsInTheLowestBits) {
  const int8_t codes[] = {-8, 7, -1};
  std::vector<uint8_t> packed(2, 0xFF);
  pack_codes(codes, 3, 4, packed.data());
  EXPECT_EQ(packed, (std::vector<uint8_t>{0x78, 0x0F}));
  const int8_t few[] = {-2, 1, 0, -1, 1};
  pack_codes(few, 5, 2, packed.data());
  EXPECT_EQ(packed, (std::vector<uint8_t>{0b11000110, 0b01}));
}

TEST(PackedCodes, EveryCodeComesBackFromAnyPlace) {
  for (int bits : {2, 4, 8})
    for (int64_t count : {0, 1, 2, 3, 4, 5, 9, 300}) {
      std::vector<int8_t> codes, back(static_cast<size_t>(count), 99);
      for (int64_t i = 0; i < count; ++i)
        codes.push_back(static_cast<int8_t>(i % (1 << bits) - (1 << (bits - 1))));
      std::vector<uint8_t> packed(static_cast<size_t>(packed_bytes(count, bits)));
      pack_codes(codes.data(), count, bits, packed.data());
      unpack_codes(packed.data(), count, bits, back.data());
      EXPECT_EQ(back, codes) << bits << " bits, " << count << " codes";
    }
}

}  // namespace
}  // namespace stair
