// Batch normalization over the last dimension (channels last).
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

struct BatchNormOptions {
  bool training = true;   // normalize by the statistics of the batch and update the running ones
  double momentum = 0.1;  // weight of the new batch in the running statistics
  double eps = 1e-5;
};

// y[...,c] = (x[...,c] - mean[c]) / sqrt(var[c] + eps) * gamma[c] + beta[c]
// x [...,C], all others [C]; f32 or f64. gamma and beta may be undefined (1 and 0).
//
// training: mean and var (biased) are those of the batch, over all dimensions but the last, and
//   running = (1 - momentum) * running + momentum * batch
// is written into the running tensors in place, running_var with the unbiased variance (n / (n-1)).
// Undefined running tensors are not updated. Otherwise mean and var are the running ones.
// Gradients: x, gamma, beta, in training through the statistics; none of the running tensors.
// A quantized x is dequantized first. Throws ShapeError (also for a training batch of one value a
// channel, whose variance is not defined), DTypeError, ConfigError (eps, momentum).
// Source: Ioffe, Szegedy, "Batch Normalization" (2015); numerics of torch.nn.functional.batch_norm.
Variable batch_norm(const Variable& x, const Variable& gamma, const Variable& beta,
                    const Variable& running_mean, const Variable& running_var,
                    const BatchNormOptions& options = {});

}  // namespace stair::autograd
