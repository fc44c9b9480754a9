// Zeroes random elements in training.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// training: y = x / (1 - p) where a uniform number of [0, 1) is at least p, else 0; otherwise y =
// x, integers included. Any shape, f32 or f64; a quantized x is dequantized first. 0 <= p <= 1;
// p = 1 gives zeros.
// Element i takes number i (its upper 24 bits) of default_random(), counted from the next whole
// Philox block of four, and the stream moves past them: the mask does not depend on threads.
// Gradient: gy / (1 - p) where kept, else 0; one bit an element is saved.
// Throws ConfigError for p outside [0, 1], DTypeError.
Variable dropout(const Variable& x, double p, bool training);

}  // namespace stair::autograd
