// The rectifier.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = max(x, 0); NaN stays NaN.
// Elementwise, any shape, f32 or f64; a quantized x is dequantized first.
// Gradient: gy where x > 0, else 0.
// Throws DTypeError for other element types.
Variable relu(const Variable& x);

}  // namespace stair::autograd
