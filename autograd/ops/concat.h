// Joins tensors along one dimension.
#pragma once

#include <vector>

#include "autograd/variable.h"

namespace stair::autograd {

// y = xs[0], xs[1], ... one after the other along `axis` (negative: from the end). The other
// dimensions and the element types are equal. When all inputs are quantized with the same
// parameters (per tensor) and element type the result keeps them; otherwise quantized inputs are
// dequantized.
// Gradients: the part of gy that belongs to each input. Throws ShapeError, DTypeError.
Variable concat(const std::vector<Variable>& xs, int axis);

}  // namespace stair::autograd
