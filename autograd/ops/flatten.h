// All dimensions but the first into one.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// x [N,...] -> y [N,rest], the same elements (and memory). Quantized tensors keep their parameters
// when they are per tensor; per channel they are dequantized first.
// Gradient: gy in the shape of x. Throws ShapeError for a scalar.
Variable flatten(const Variable& x);

}  // namespace stair::autograd
