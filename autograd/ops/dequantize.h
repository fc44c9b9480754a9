// The real numbers of a quantized tensor.
#pragma once

#include "autograd/dequantize.h"
#include "autograd/variable.h"

namespace stair::autograd {

// y = (q - zero_point) * scale in f32, exact; a float x is passed on as it is.
// Gradient: gy. In a graph the attribute "codes" leaves x as it is: integers that stand for those
// numbers, for operations with an integer kernel.
Variable dequantize(const Variable& x);

}  // namespace stair::autograd
