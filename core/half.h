// Conversion of 16-bit floats, which files may hold, to float. Both are exact.
#pragma once

#include <cstdint>

namespace stair {

// IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits.
float half_to_float(uint16_t bits);
// bfloat16: the upper half of a float.
float bfloat16_to_float(uint16_t bits);

}  // namespace stair
