// The fully connected layer.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y[n,o] = b[o] + sum_i x[n,i] * w[o,i]
// x [N,I] (or [...,I], the leading dimensions are kept), w [O,I], b [O] or undefined, y [N,O]; f32
// or f64.
//
// When x and w are quantized (x per tensor u8 or s8; w s8, symmetric, per tensor or per output
// channel) the forward is the integer kernel of the deployed model, y = fmaf(float(acc), sx *
// sw[o], b[o]) in f32 (numerics.md), exact; the backward is float on the dequantized tensors. If
// only one is quantized, it is dequantized first. Gradients: x, w, b. Throws ShapeError,
// DTypeError.
Variable linear(const Variable& x, const Variable& w, const Variable& b);

}  // namespace stair::autograd
