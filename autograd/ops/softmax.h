// Probabilities from logits.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y[...,c] = exp(x[...,c]) / sum_k exp(x[...,k]), relative to the maximum so that nothing
// overflows. Over the last dimension; x [...,C] f32 or f64; a quantized x is dequantized first.
// Gradient: y * (gy - sum_k gy[k] * y[k]). Throws ShapeError for a scalar, DTypeError.
Variable softmax(const Variable& x);

}  // namespace stair::autograd
