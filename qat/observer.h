// Observers: the range of the values that a quantizer saw, and the quantization parameters that
// follow from it.
#pragma once

#include <vector>

#include "autograd/variable.h"
#include "qat/spec.h"

namespace stair::qat {

// Smallest and largest value of a tensor, or of each channel. Values that are not finite are left
// out and counted.
struct Range {
  std::vector<float> min, max;
  int64_t non_finite = 0;
};
// axis -1: one range. Throws DTypeError unless x is f32.
Range range_of(const Tensor& x, int axis);

// The parameters for values in [min, max], as PyTorch's observers compute them, in float. The range
// is first widened to hold 0.
//   symmetric: scale = max(-min, max) / ((qmax - qmin) / 2); zero point 0 (s8), 128 (u8), (qmin +
//   qmax) / 2 rounded down (part of u8) affine:    scale = (max - min) / (qmax - qmin); zero point
//   = qmin - rne(min / scale), clamped to the range
// The scale is at least 2^-23. Source: torch/ao/quantization/observer.py, _calculate_qparams.
QParams qparams_of(const std::vector<float>& min, const std::vector<float>& max,
                   const QuantizationSpec& spec);

// Keeps the range over batches: `minmax` the extremes so far; `moving_average_minmax` the first
// batch, then m += c * (batch - m). State: min_val, max_val, f32 [channels]; +inf, -inf before the
// first batch.
class Observer {
 public:
  Observer(const QuantizationSpec& spec, int64_t channels);
  // Takes a batch in. Channels without a finite value keep their range.
  void observe(const Range& batch);
  bool calibrated() const;
  QParams qparams() const;
  const autograd::Variable& min_val() const { return min_; }
  const autograd::Variable& max_val() const { return max_; }

 private:
  QuantizationSpec spec_;
  autograd::Variable min_, max_;
};

}  // namespace stair::qat
