// The logistic function.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = 1 / (1 + exp(-x))
// Elementwise, any shape, f32 or f64; a quantized x is dequantized first.
// Gradient: gy * y * (1 - y).
// Throws DTypeError for other element types.
Variable sigmoid(const Variable& x);

}  // namespace stair::autograd
