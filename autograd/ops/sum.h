// Sum of all elements.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = sum(x), y []; f32 or f64, summed in a fixed split; a quantized x is dequantized first.
// Gradient: gy for every element. Throws DTypeError.
Variable sum(const Variable& x);

}  // namespace stair::autograd
