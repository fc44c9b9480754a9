// Mean squared error.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = mean((x - t)^2) over all elements; x and t of one shape and type, f32 or f64; y [].
// Quantized inputs are dequantized first. Gradients: 2 (x - t) gy / n and its negative.
// Throws ShapeError, DTypeError.
Variable mse_loss(const Variable& x, const Variable& t);

}  // namespace stair::autograd
