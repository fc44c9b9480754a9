// The sigmoid-weighted linear unit (swish).
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = x / (1 + exp(-x))
// Elementwise, any shape, f32 or f64; a quantized x is dequantized first.
// Gradient: gy * s * (1 + x * (1 - s)) with s = sigmoid(x).
// Throws DTypeError for other element types.
Variable silu(const Variable& x);

}  // namespace stair::autograd
