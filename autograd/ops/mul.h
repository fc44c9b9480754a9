// Product of two tensors.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = a * b
// Shapes broadcast as in NumPy: aligned at the last dimension, a dimension of 1 stretches. f32 or
// f64, the same for both. Of two quantized inputs with one scale each, y = float((qa - za) * (qb -
// zb)) * (sa * sb): the integer product is exact, one factor is rounded. Others are dequantized
// first.
// Gradients: gy * b and gy * a, each summed over the dimensions its input was stretched along.
// Throws ShapeError, DTypeError.
Variable mul(const Variable& a, const Variable& b);

}  // namespace stair::autograd
