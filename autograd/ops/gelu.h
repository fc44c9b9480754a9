// The Gaussian error linear unit, exact form (Hendrycks, Gimpel 2016).
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = x * Phi(x), Phi the normal distribution function (by erf).
// Elementwise, any shape, f32 or f64; a quantized x is dequantized first.
// Gradient: gy * (Phi(x) + x * phi(x)), phi the normal density.
// Throws DTypeError for other element types.
Variable gelu(const Variable& x);

}  // namespace stair::autograd
