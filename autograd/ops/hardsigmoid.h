// The piecewise linear sigmoid of MobileNetV3.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = min(max(x + 3, 0), 6) / 6
// Elementwise, any shape, f32 or f64; a quantized x is dequantized first.
// Gradient: gy / 6 where -3 < x < 3, else 0.
// Throws DTypeError for other element types.
Variable hardsigmoid(const Variable& x);

}  // namespace stair::autograd
