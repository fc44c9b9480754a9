// Mean over the whole picture.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y[n,0,0,c] = mean over h, w of x[n,h,w,c]; x [N,H,W,C] f32 or f64, y [N,1,1,C].
// A quantized x (per tensor) gives y = float(sum of (q - z)) * (s / (H*W)) in f32, as avg_pool2d
// does. Gradient: gy / (H*W). Throws ShapeError, DTypeError.
Variable global_avg_pool(const Variable& x);

}  // namespace stair::autograd
