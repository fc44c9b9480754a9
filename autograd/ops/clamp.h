// Limits values to an interval.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = min(max(x, lo), hi); lo <= hi, either may be infinite.
// Elementwise, any shape, f32 or f64; a quantized x is dequantized first.
// Gradient: gy where lo < x < hi, else 0.
// Throws DTypeError for other element types, ConfigError.
Variable clamp(const Variable& x, double lo, double hi);

}  // namespace stair::autograd
