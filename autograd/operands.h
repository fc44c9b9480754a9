// What operations ask of their inputs.
#pragma once

#include "autograd/dequantize.h"
#include "autograd/variable.h"

namespace stair::autograd {

// The element type of the real numbers x stands for: f32 when x is quantized.
inline DType real_dtype(const Variable& x) {
  return x.quantized() ? DType::f32 : x.dtype();
}

// The real numbers of input `name` of operation `op`: every operation without an integer form
// computes on these, so a quantized input costs one dequantized copy.
// Throws DTypeError when x is neither quantized nor f32 or f64.
Tensor real_operand(const char* op, const char* name, const Variable& x);

// Whether the operation being computed will be asked for the gradient of x.
inline bool wants_grad(const Variable& x) {
  return grad_enabled() && x.requires_grad();
}

// x as it is, unless its parameters are per channel: then the real numbers. For operations that
// move elements about, where a channel's parameters would lose their dimension.
Tensor per_tensor_operand(const Variable& x);

}  // namespace stair::autograd
