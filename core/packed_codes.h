// Signed codes of 2 or 4 bits, several a byte, the first in the lowest bits; the bits of the last
// byte that no code uses are 0.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stair {

// Bytes of `count` codes of 2, 4 or 8 bits.
constexpr int64_t packed_bytes(int64_t count, int bits) {
  return (count * bits + 7) / 8;
}

// codes[i] in [-2^(bits-1), 2^(bits-1) - 1] -> packed; higher bits of a code are cut off.
void pack_codes(const int8_t* codes, int64_t count, int bits, uint8_t* packed);
// The codes again.
void unpack_codes(const uint8_t* packed, int64_t count, int bits, int8_t* codes);

}  // namespace stair
