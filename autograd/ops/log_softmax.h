// Logarithms of probabilities from logits.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y[...,c] = x[...,c] - log(sum_k exp(x[...,k])), relative to the maximum.
// Over the last dimension; x [...,C] f32 or f64; a quantized x is dequantized first.
// Gradient: gy - exp(y) * sum_k gy[k]. Throws ShapeError for a scalar, DTypeError.
Variable log_softmax(const Variable& x);

}  // namespace stair::autograd
