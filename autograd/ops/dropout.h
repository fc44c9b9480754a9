// Zeroes random elements in training.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// training: y = x / (1 - p) where a uniform number of [0, 1) is at least p, else 0; otherwise y =
// x. Any shape, f32 or f64; a quantized x is dequantized first. 0 <= p <= 1; p = 1 gives zeros.
// Element i draws number i (24 bits) of a Philox stream keyed by 64 bits that are taken from
// default_random(), so the mask does not depend on threads; one bit an element is kept for the
// backward. Gradient: gy / (1 - p) where kept, else 0. Throws ConfigError for p outside [0, 1],
// DTypeError.
Variable dropout(const Variable& x, double p, bool training);

}  // namespace stair::autograd
