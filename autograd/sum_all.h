// Sums over whole tensors.
#pragma once

#include "core/tensor.h"

namespace stair::autograd {

// The sum of all elements times `factor`, as a scalar; summed in a fixed split. x f32 or f64.
Tensor sum_all(const Tensor& x, double factor = 1);

// The only element of a scalar f32 or f64 tensor.
double scalar_of(const Tensor& x);

// A tensor of one repeated value. dtype f32 or f64.
Tensor filled(const Shape& shape, DType dtype, double value);

}  // namespace stair::autograd
