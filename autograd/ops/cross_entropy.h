// The loss of classification from logits.
#pragma once

#include "autograd/reduction.h"
#include "autograd/variable.h"

namespace stair::autograd {

struct CrossEntropyOptions {
  double label_smoothing = 0;   // in [0, 1]
  int64_t ignore_index = -100;  // rows with this target have no loss and no gradient
  Reduction reduction = Reduction::mean;
};

// loss[n] = -sum_c t[n,c] * log softmax(x[n])[c],  t = (1 - smoothing) * onehot + smoothing / C
// x [N,C] f32 or f64 (a quantized x is dequantized first), target [N] s64.
// Result: [] (mean over the rows that are not ignored, NaN when there are none; or sum) or [N]
// (none). Gradient: softmax(x) - t, times the reduction's factor. Throws ShapeError, DTypeError,
// ConfigError (smoothing), DataError for a target outside the classes, with its row and value.
// Source: Szegedy et al., "Rethinking the Inception Architecture" (2015), 7, for the smoothing.
Variable cross_entropy(const Variable& x, const Tensor& target,
                       const CrossEntropyOptions& options = {});

}  // namespace stair::autograd
