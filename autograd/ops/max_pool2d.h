// Maximum over windows of a picture.
#pragma once

#include "autograd/pool2d.h"
#include "autograd/variable.h"

namespace stair::autograd {

// y[n,oy,ox,c] = max over ky, kx of x[n, oy*sh - top + ky, ox*sw - left + kx, c]; padding never
// wins, NaN does. x [N,H,W,C] f32 or f64, or quantized per tensor u8 or s8, which keeps its
// parameters; y [N,OH,OW,C]. Gradient: gy goes to the first maximum of each window. Throws
// ShapeError, DTypeError.
Variable max_pool2d(const Variable& x, const Pool2dOptions& options);

}  // namespace stair::autograd
