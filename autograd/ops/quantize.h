// Onto the integer staircase, with the straight-through gradient.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// q = clamp(rne(x * inv_scale) + zero_point, qmin, qmax), exact (numerics.md); with relu of max(x,
// 0). x any shape, f32 or f64; y has the element type `dtype` (u8, s8 or s32) and carries
// `qparams`; per tensor or per channel (axis). Gradient (straight-through): gy where qmin <= rne(x
// * inv_scale) + zero_point <= qmax before the clamp, and x > 0 with relu; else 0. One bit an
// element is kept. Throws DTypeError (x quantized or not float, range outside dtype), ShapeError
// (counts of scales), ConfigError (a scale that is not positive and finite, zero point outside the
// range).
Variable quantize(const Variable& x, const QParams& qparams, DType dtype, bool relu = false);

}  // namespace stair::autograd
