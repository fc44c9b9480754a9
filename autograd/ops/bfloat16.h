// Rounding to the numbers of bf16.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = the bf16 number (8 bits of significand) nearest to x, ties to even, kept as f32; of integers,
// of what they stand for. NaN stays NaN, and what is too large becomes infinite. x f32 or
// quantized. Gradient: gy, straight through. Throws DTypeError.
Variable bfloat16(const Variable& x);

}  // namespace stair::autograd
