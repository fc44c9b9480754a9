// The same elements in another shape.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y has `shape`, one dimension of which may be -1: what the others leave. Elements stay in
// row-major order (channels last), in the same memory. Quantized tensors keep their parameters when
// they are per tensor; per channel they are dequantized first. Gradient: gy in the shape of x.
// Throws ShapeError when the counts differ.
Variable reshape(const Variable& x, const Shape& shape);

}  // namespace stair::autograd
