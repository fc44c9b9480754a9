// Binary operations with NumPy broadcasting: shapes are aligned at their last dimension, and a
// dimension of 1 stretches to the other's.
#pragma once

#include "autograd/variable.h"
#include "kernels/elementwise/elementwise.h"

namespace stair::autograd {

// The shape of a op b. Throws ShapeError when they do not fit.
Shape broadcast_shape(const char* op, const Tensor& a, const Tensor& b);

// The checked real operands of a binary operation; both of one element type.
struct BinaryOperands {
  Tensor a, b;
  Shape y;
};
// Throws ShapeError, DTypeError.
BinaryOperands binary_operands(const char* op, const Variable& a, const Variable& b);

// a op b in a new tensor of shape y, which is their broadcast shape.
Tensor broadcast_binary(kernels::BinaryFn fn, const Tensor& a, const Tensor& b, const Shape& y);

// The sum of g over the dimensions that `shape` was stretched along; g itself when there are none.
// The order of the summation depends on the shapes alone.
Tensor sum_to(const Tensor& g, const Shape& shape);

// factor * x in a new tensor.
Tensor scaled(const Tensor& x, double factor);

}  // namespace stair::autograd
