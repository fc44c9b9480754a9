// Two-dimensional convolution.
#pragma once

#include <array>

#include "autograd/variable.h"

namespace stair::autograd {

struct Conv2dOptions {
  std::array<int64_t, 2> stride = {1, 1};         // down, right
  std::array<int64_t, 4> padding = {0, 0, 0, 0};  // top, left, bottom, right
  std::array<int64_t, 2> dilation = {1, 1};
  int64_t groups = 1;
  bool moments = false;  // of integers: gather what a batch norm behind it needs (ChannelSums)
};

// y[n,oy,ox,o] = b[o] + sum x[n, oy*sh - top + ky*dh, ox*sw - left + kx*dw, g*I + i] * w[o,ky,kx,i]
// x [N,H,W,C], w [O,KH,KW,I = C/groups], b [O] or undefined, y [N,OH,OW,O]; f32 or f64.
//
// When x and w are quantized (x per tensor u8 or s8; w s8, symmetric, per tensor or per output
// channel) the forward is the integer kernel of the deployed model, y = fmaf(float(acc), sx *
// sw[o], b[o]) in f32 (numerics.md), exact; the backward is float on the dequantized tensors. If
// only one is quantized, it is dequantized first. Gradients: x, w, b. Throws ShapeError,
// DTypeError.
Variable conv2d(const Variable& x, const Variable& w, const Variable& b,
                const Conv2dOptions& options);

}  // namespace stair::autograd
