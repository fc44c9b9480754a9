// Observers: what a quantizer keeps of the values it saw, and the quantization parameters that
// follow. An observer is one file qat/observers/<name>.cpp; its memory does not grow with the
// number of batches.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "nn/module.h"
#include "qat/spec.h"

namespace stair::qat {

// Smallest and largest value of a tensor, or of each channel. Values that are not finite are left
// out and counted.
struct Range {
  std::vector<float> min, max;
  int64_t non_finite = 0;
};
// axis -1: one range, for which a formula is read in pieces. Throws DTypeError unless x is f32.
Range range_of(const autograd::Deferred& x, int axis);

// The parameters for values in [min, max], as PyTorch's observers compute them, in float. The range
// is first widened to hold 0.
//   symmetric: scale = max(-min, max) / ((qmax - qmin) / 2); zero point 0 (s8), 128 (u8), (qmin +
//   qmax) / 2 rounded down (part of u8) affine:    scale = (max - min) / (qmax - qmin); zero point
//   = qmin - rne(min / scale), clamped to the range
// The scale is at least 2^-23. Source: torch/ao/quantization/observer.py, _calculate_qparams.
QParams qparams_of(const std::vector<float>& min, const std::vector<float>& max,
                   const QuantizationSpec& spec);

// A batch as an observer gets it: the range of the values, and the values themselves.
struct Observed {
  const Range& range;
  Tensor x;           // f32; undefined where needs_values() is false
  bool relu = false;  // the values are max(x, 0)
};

// State: min_val, max_val f32 [channels], +inf and -inf before the first batch; and the variant's
// own.
class Observer {
 public:
  Observer(const QuantizationSpec& spec, int64_t channels);
  virtual ~Observer() = default;
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  // Takes a batch in. Channels without a finite value stay as they are.
  virtual void observe(const Observed& batch) = 0;
  virtual bool needs_values() const { return false; }
  virtual bool calibrated() const;
  // Unless overridden, those of [min_val, max_val].
  virtual QParams qparams() const;
  virtual std::vector<nn::NamedVariable> state() const;

  const QuantizationSpec& spec() const { return spec_; }
  const autograd::Variable& min_val() const { return min_; }
  const autograd::Variable& max_val() const { return max_; }

 protected:
  // Widens [min_val, max_val] to hold the batch.
  void widen(const Range& batch);

 private:
  QuantizationSpec spec_;
  autograd::Variable min_, max_;
};

struct ObserverDef {
  const char* name;
  const char* rule;  // how the range follows from the values, and its source
  bool calibrates;   // whether batches give it a range
  std::unique_ptr<Observer> (*make)(const QuantizationSpec& spec, int64_t channels);
};

std::span<const ObserverDef* const> observers();
// Throws ConfigError with the nearest name and the list.
const ObserverDef& find_observer(const std::string& name);
std::unique_ptr<Observer> make_observer(const QuantizationSpec& spec, int64_t channels);

#define STAIR_OBSERVER_FILE(stem) extern const ObserverDef observer_##stem;
#include "observer_files.inc"
#undef STAIR_OBSERVER_FILE

}  // namespace stair::qat
