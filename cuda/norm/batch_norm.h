// Batch normalization on the current GPU, in the terms of kernels/norm/norm.h: one definition for
// both devices. All pointers are to memory of the GPU. Calls are queued on the default stream.
//
// Statistics and gradients are summed in double. The split depends on the shape alone and products
// are not contracted with sums, so every GPU gives the same bits.
// Throw DeviceError (the GPU cannot be used), MemoryError.
#pragma once

#include "kernels/norm/norm.h"

namespace stair::cuda {

using BatchNormForwardArgs = kernels::BatchNormForward<float>::Args;
using BatchNormBackwardArgs = kernels::BatchNormBackward<float>::Args;

void batch_norm_forward(const BatchNormForwardArgs& a);
void batch_norm_backward(const BatchNormBackwardArgs& a);

// After a training forward; also throws ShapeError for fewer than two rows.
//   running_mean = (1 - momentum) * running_mean + momentum * mean
//   running_var  = (1 - momentum) * running_var  + momentum * var * rows / (rows - 1)
struct RunningStatistics {
  int64_t rows, channels;
  double momentum;
  const float *mean, *var;            // [C], of the batch, var biased
  float *running_mean, *running_var;  // [C]
};
void update_running(const RunningStatistics& r);

}  // namespace stair::cuda
