// Sum of two tensors.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = a + b
// Shapes broadcast as in NumPy: aligned at the last dimension, a dimension of 1 stretches. f32 or
// f64, the same for both. Quantized inputs stand for float(qa - za) * sa: when both are quantized,
// y = sa * (qa - za) + sb * (qb - zb), two rounded products and one rounded sum in f32, what the
// integer kernel of the deployed model computes before it requantizes (numerics.md).
// Gradients: gy for both, each summed over the dimensions its input was stretched along.
// Throws ShapeError, DTypeError.
Variable add(const Variable& a, const Variable& b);

}  // namespace stair::autograd
