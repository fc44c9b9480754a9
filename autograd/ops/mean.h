// Mean of all elements.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = sum(x) / n, y []; f32 or f64, summed in a fixed split; a quantized x is dequantized first.
// Gradient: gy / n. Throws DTypeError, ShapeError for no elements.
Variable mean(const Variable& x);

}  // namespace stair::autograd
