// The fully connected layer whose weights have a scale for each group of inputs.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// The function of `linear` with the weights W [O,I] given as rows of g inputs, w [O*I/g, g]: row
// o*I/g + j holds inputs j*g to (j+1)*g - 1 of output o.
//
// When x and w are quantized (x per tensor u8 or s8; w s8, symmetric, a scale a row), exact, in f32
// and in this order:
//   acc[n,o,j] = sum_i (qx[n,j*g+i] - zx) * qw[o*I/g+j, i]      int32
//   y[n,o] = ((b[o] + p_0) + p_1) + ..., p_j = float(acc[n,o,j]) * (sx * sw[o*I/g+j])
// each product and each sum rounded; without a bias y starts from 0. Else on real numbers. The
// backward is float on the dequantized tensors. Gradients: x, w, b. Throws ShapeError, DTypeError.
Variable group_linear(const Variable& x, const Variable& w, const Variable& b);

}  // namespace stair::autograd
