#include "core/packed_codes.h"

#include <algorithm>

namespace stair {

void pack_codes(const int8_t* codes, int64_t count, int bits, uint8_t* packed) {
  const int mask = (1 << bits) - 1, per_byte = 8 / bits;
  std::fill_n(packed, packed_bytes(count, bits), uint8_t{0});
  for (int64_t i = 0; i < count; ++i)
    packed[i / per_byte] |= static_cast<uint8_t>((codes[i] & mask) << (i % per_byte * bits));
}

void unpack_codes(const uint8_t* packed, int64_t count, int bits, int8_t* codes) {
  const int mask = (1 << bits) - 1, per_byte = 8 / bits, sign = 1 << (bits - 1);
  for (int64_t i = 0; i < count; ++i) {
    const int code = packed[i / per_byte] >> (i % per_byte * bits) & mask;
    codes[i] = static_cast<int8_t>((code ^ sign) - sign);
  }
}

}  // namespace stair
