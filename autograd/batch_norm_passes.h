// Batch norm in training with what follows it, an activation function and straight-through
// quantization, as one pass over memory forward and two backward. The results have the bits of the
// operations in a row, and so have the gradients, unless their sums were formed while the reader of
// the result wrote its gradient: those may be split in another way. Only x is kept.
#pragma once

#include <limits>

#include "autograd/ops/batch_norm.h"

namespace stair::autograd {

// What a batch norm in training makes of x: y = (x - mean) * scale + shift.
struct BatchMoments {
  Tensor mean, invstd, scale, shift;  // f32 [C]
  // Extremes of y of each channel, where wanted; min > max for a channel that is not finite.
  std::vector<float> min, max;
};

// Reads x (f32 [...,C]) once and updates the running statistics. Inputs and errors as batch_norm's
// in training; f32 only.
BatchMoments batch_moments(const Variable& x, const Variable& gamma, const Variable& beta,
                           const Variable& running_mean, const Variable& running_var,
                           const BatchNormOptions& options, bool want_extremes);

// The values that an activation function leaves alone: (0, inf) for ReLU, (0, 6) for ReLU6.
struct ActiveRange {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

// q = quantize(clamp(y, range), qparams), per tensor, of element type u8 or s8. Gradients of x,
// gamma and beta as those of batch_norm, the activation function and quantize in a row.
Variable normalize_quantize(const Variable& x, const Variable& gamma, const Variable& beta,
                            const BatchMoments& moments, const ActiveRange& range,
                            const QParams& qparams, DType dtype);

// clamp(batch_norm(x, ...), range) in training. f32 only; errors as batch_norm.
Variable batch_norm_activate(const Variable& x, const Variable& gamma, const Variable& beta,
                             const Variable& running_mean, const Variable& running_var,
                             const BatchNormOptions& options, const ActiveRange& range);

}  // namespace stair::autograd
