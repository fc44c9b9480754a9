// What the elementwise functions of one input share.
#pragma once

#include "autograd/op.h"
#include "autograd/variable.h"
#include "kernels/elementwise/elementwise.h"

namespace stair::autograd {

struct UnaryOp {
  const char* name;
  kernels::UnaryFn fn;
  double alpha = 0, beta = 0;  // see kernels::Unary
  // Whether f'(x) is also f'(f(x)), as for the clipping functions. Then y is kept for the backward
  // instead of x: the next layer keeps it anyway.
  bool gradient_from_y = false;
  // Whether the ends alpha and beta have gradient 0, where the kernel takes them as inside.
  bool ends_outside = false;
};

// y = f(x) and its record. Of quantized tensors with one scale, f is computed in double precision
// and rounded once.
Variable unary(const UnaryOp& op, const Variable& x, const Attributes& attributes = {});

}  // namespace stair::autograd
