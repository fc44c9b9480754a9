// The piecewise quadratic swish of MobileNetV3 (Howard et al. 2019).
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = x * min(max(x + 3, 0), 6) / 6
// Elementwise, any shape, f32 or f64; a quantized x is dequantized first.
// Gradient: 0 for x <= -3, gy for x >= 3, gy * (2x + 3) / 6 between.
// Throws DTypeError for other element types.
Variable hardswish(const Variable& x);

}  // namespace stair::autograd
