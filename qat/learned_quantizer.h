// Quantizers whose scales follow from a learned number a channel.
#pragma once

#include "qat/rule.h"

namespace stair::qat {

// What the file of such a quantizer says of its parameter.
struct LearnedRule {
  const char* name;       // of the quantizer
  const char* parameter;  // its name in the state
  RuleSums (*span)(const RuleSpan&);
  bool learns_offset = false;  // see below
};

// State: the parameter f32 [channels]; zero_point, a buffer s32 [channels] or, where the rule
// learns it, a parameter `offset` f32 [channels], the real number of the lowest code, that gives
// zero_point = clamp(rne(qmin - offset / scale), qmin, qmax); initialised u8 [1]. The first
// training forward with the observer on sets all of them and latches: later batches leave them to
// the optimizer. Unsigned codes of a tensor with negative values start with zero in the middle of
// the range, offsets at the smallest value. The gradient of the parameter is gradient_scale * slope
// * sum of gy * dy/dscale, that of the offset gradient_scale * sum of gy * dy/doffset.
class LearnedQuantizer : public Quantizer {
 public:
  LearnedQuantizer(const QuantizationSpec& spec, int64_t channels, Activation activation,
                   const LearnedRule& rule);
  bool calibrated() const override { return initialised_.value().data<uint8_t>()[0] != 0; }
  QParams qparams(const autograd::Deferred& x) const override;

 protected:
  // The parameter from the activated, finite values of a channel, less the offset; p = qmax - zero
  // point, the highest code from there.
  virtual double initial(std::span<const float> values, double p) const = 0;
  // The scale, positive whatever the parameter, and its derivative.
  virtual float scale_of(float parameter, float p) const;
  virtual float slope_of(float /*scale*/, float /*p*/) const { return 1; }
  // On the gradient of the parameter; N elements a scale stands for: of a weight all of its
  // channel, of an activation those of one sample. Unless overridden 1 / sqrt(N * p), as LSQ.
  virtual double gradient_scale(double elements, double p) const;
  // The lowest and the highest code, unless overridden those of the spec.
  virtual std::pair<int32_t, int32_t> codes() const { return {spec().qmin, spec().qmax}; }
  // The integers of x; a real tensor from quantizers that are simulated.
  virtual Tensor quantized(const Variable& x, const QParams& p, bool relu) const;

 private:
  void observe(const autograd::Deferred& x) final;
  Variable apply(const Variable& x, bool relu) const final;
  void initialise(int64_t channel, std::vector<float> values, float min);
  double elements_per_scale(const Shape& x) const;

  LearnedRule rule_;
  Variable parameter_, zero_point_, offset_, initialised_;
};

// The step that makes the mean squared error of `values` least, over shrinking the range that
// holds them all to 1.00, 0.99, ... 0.05; codes from n to p. Of many values every k-th counts, at
// most 65536.
double least_squares_scale(std::span<const float> values, double n, double p);

// LSQ's start, 2 * mean(|x|) / sqrt(p).
double mean_scale(std::span<const float> values, double p);

struct Moments {
  double mean = 0, deviation = 0;  // divisor N
};
Moments moments_of(std::span<const float> values);

}  // namespace stair::qat
