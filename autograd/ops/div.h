// Quotient of two tensors.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = a / b
// Shapes broadcast as in NumPy: aligned at the last dimension, a dimension of 1 stretches. f32 or
// f64, the same for both. Quantized inputs are dequantized first.
// Gradients: gy / b and -gy * a / b^2, each summed over the dimensions its input was stretched
// along. Throws ShapeError, DTypeError.
Variable div(const Variable& a, const Variable& b);

}  // namespace stair::autograd
