// The rectifier capped at 6.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = min(max(x, 0), 6)
// Elementwise, any shape, f32 or f64; a quantized x is dequantized first.
// Gradient: gy where 0 < x < 6, else 0.
// Throws DTypeError for other element types.
Variable relu6(const Variable& x);

}  // namespace stair::autograd
