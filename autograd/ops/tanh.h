// The hyperbolic tangent.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = tanh(x)
// Elementwise, any shape, f32 or f64; a quantized x is dequantized first.
// Gradient: gy * (1 - y^2).
// Throws DTypeError for other element types.
Variable tanh(const Variable& x);

}  // namespace stair::autograd
