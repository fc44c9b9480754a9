// Adds channels of zeros (shortcut of option A in CIFAR ResNets).
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y[...,c] = x[..., c - before] for before <= c < before + C, else 0.
// x [...,C] f32 or f64, y [...,before + C + after]. A quantized x (per tensor) keeps its
// parameters; the new channels hold its zero point, which stands for exactly 0. Gradient: the
// middle channels of gy. Throws ShapeError for negative counts or a scalar. Source: He et al.,
// "Deep Residual Learning" (2015), 4.2.
Variable pad_channels(const Variable& x, int64_t before, int64_t after);

}  // namespace stair::autograd
