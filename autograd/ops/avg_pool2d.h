// Mean over windows of a picture.
#pragma once

#include "autograd/pool2d.h"
#include "autograd/variable.h"

namespace stair::autograd {

// y[n,oy,ox,c] = sum over ky, kx of x[n, oy*sh - top + ky, ox*sw - left + kx, c] / count; padding
// counts as zeros (count = KH*KW) or not at all (count = elements inside the picture), as
// count_include_pad says. x [N,H,W,C] f32 or f64, y [N,OH,OW,C]. A quantized x (per tensor) gives y
// = float(sum of (q - z)) * (s / count) in f32 with an exact integer sum, what the deployed model
// computes before it requantizes (numerics.md). Gradient: gy / count to each element of the window.
// Throws ShapeError, DTypeError.
Variable avg_pool2d(const Variable& x, const Pool2dOptions& options);

}  // namespace stair::autograd
