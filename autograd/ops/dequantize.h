// The real numbers of a quantized tensor.
#pragma once

#include "autograd/dequantize.h"
#include "autograd/variable.h"

namespace stair::autograd {

// y = (q - zero_point) * scale in f32, exact; a float x is passed on as it is.
// Gradient: gy.
Variable dequantize(const Variable& x);

}  // namespace stair::autograd
