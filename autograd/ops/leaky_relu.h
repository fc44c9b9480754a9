// The rectifier with a slope for negative values.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = x where x > 0, else slope * x
// Elementwise, any shape, f32 or f64; a quantized x is dequantized first.
// Gradient: gy where x > 0, else slope * gy.
// Throws DTypeError for other element types.
Variable leaky_relu(const Variable& x, double slope);

}  // namespace stair::autograd
