// Running a quantizer's elementwise rule over a tensor.
//
// The loops are plain code that the compiler vectorises; STAIR_VECTORIZED builds a function for
// several instruction sets and picks by the machine. All of them round alike and sum in the same
// order, so they give the same bits.
#pragma once

#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "kernels/quantize/quantize.h"
#include "qat/quantizer.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STAIR_VECTORIZED
#else
#define STAIR_VECTORIZED __attribute__((target_clones("default", "avx2", "arch=x86-64-v4")))
#endif

namespace stair::qat {

// The vocabulary of rules for dual numbers: roundings pass derivatives straight through.
inline Dual operator+(Dual a, Dual b) {
  return {a.value + b.value, a.derivative + b.derivative};
}
inline Dual operator-(Dual a, Dual b) {
  return {a.value - b.value, a.derivative - b.derivative};
}
inline Dual operator*(Dual a, Dual b) {
  return {a.value * b.value, a.derivative * b.value + a.value * b.derivative};
}
inline Dual operator/(Dual a, Dual b) {
  return {a.value / b.value,
          (a.derivative * b.value - a.value * b.derivative) / (b.value * b.value)};
}
inline Dual round_through(Dual a) {
  return {std::nearbyint(a.value), a.derivative};
}
// Clamps; the derivative passes strictly between the ends.
inline Dual clamp_open(Dual a, double low, double high) {
  return a.value <= low ? Dual{low, 0} : a.value >= high ? Dual{high, 0} : a;
}
// Clamps; the derivative passes between the ends, ends included.
inline Dual clamp_closed(Dual a, double low, double high) {
  return a.value < low ? Dual{low, 0} : a.value > high ? Dual{high, 0} : a;
}

// A stretch of elements of one channel: gx[i] = gy[i] * dy/dx + |gy[i]| * magnitude.
struct RuleSpan {
  const float* x;
  const float* gy;
  float* gx;
  int64_t n;
  float scale, qmin, qmax;  // codes relative to the zero point
  bool relu;                // the rule sees max(x, 0); no gradient where x <= 0
};
// Sums of gy[i] * dy/dscale and gy[i] * dy/doffset, in a fixed order of lanes.
struct RuleSums {
  double scale = 0, offset = 0;
};

// A Rule has `static RuleGradient backward(const RuleSample&)`, and the constants
// kLearnsOffset and kUsesMagnitude (true) where its gradient has these parts.
template <class Rule>
[[gnu::always_inline]] inline RuleSums rule_span(const RuleSpan& s) {
  constexpr int kLanes = 16;
  constexpr bool kOffset = requires {
    Rule::kLearnsOffset;
  };
  constexpr bool kMagnitude = requires {
    Rule::kUsesMagnitude;
  };
  float scale[kLanes] = {}, offset[kLanes] = {};
  const auto element = [&](int64_t i, int64_t lane) __attribute__((always_inline)) {
    const bool cut = s.relu && !(s.x[i] > 0);
    const RuleGradient g = Rule::backward({cut ? 0.0F : s.x[i], s.scale, s.qmin, s.qmax});
    float gx = s.gy[i] * g.x;
    if constexpr (kMagnitude) gx += std::abs(s.gy[i]) * g.magnitude;
    s.gx[i] = cut ? 0.0F : gx;
    scale[lane] += s.gy[i] * g.scale;
    if constexpr (kOffset) offset[lane] += s.gy[i] * g.offset;
  };
  int64_t i = 0;
  for (; i + kLanes <= s.n; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) element(i + lane, lane);
  for (; i < s.n; ++i) element(i, i % kLanes);
  RuleSums total;
  for (float lane : scale) total.scale += lane;
  for (float lane : offset) total.offset += lane;
  return total;
}

// A rule with its parameters, which must outlive it.
struct RuleCall {
  RuleSums (*span)(const RuleSpan&);
  const QParams& qparams;
  bool relu;
};

// Runs a rule over x in a fixed split, which is the same for a formula, and writes gx. Sums by
// channel. `watch`, that of x or null, hears of gx while it is written.
std::vector<RuleSums> run_rule(const RuleCall& rule, const autograd::Deferred& x, const Tensor& gy,
                               const Tensor& gx, const autograd::GradientWatch* watch);

// The variable of codes (or real numbers) `y` of x, whose gradient is the rule's; of quantizers
// without learned parameters.
Variable record_rule(const char* name, const Variable& x, const Tensor& y,
                     RuleSums (*span)(const RuleSpan&), const QParams& p, bool relu);

}  // namespace stair::qat
