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
#define STAIR_VECTORIZED __attribute__((target_clones("default", "avx2", "arch=skylake-avx512")))
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

// A stretch of elements of one channel. gx[i] = gy[i] * dy/dx; returns the sum of gy[i] * dy/dscale
// in a fixed order of lanes.
struct RuleSpan {
  const float* x;
  const float* gy;
  float* gx;
  int64_t n;
  float scale, qmin, qmax;  // codes relative to the zero point
  bool relu;                // the rule sees max(x, 0); no gradient where x <= 0
};

template <class Rule>
[[gnu::always_inline]] inline double rule_span(const RuleSpan& s) {
  constexpr int kLanes = 16;
  float sum[kLanes] = {};
  const auto element = [&](int64_t i, float& into) __attribute__((always_inline)) {
    const float x = s.relu && !(s.x[i] > 0) ? 0.0F : s.x[i];
    const RuleGradient g = Rule::backward({x, s.scale, s.qmin, s.qmax});
    s.gx[i] = s.relu && !(s.x[i] > 0) ? 0.0F : s.gy[i] * g.x;
    into += s.gy[i] * g.scale;
  };
  int64_t i = 0;
  for (; i + kLanes <= s.n; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) element(i + lane, sum[lane]);
  for (; i < s.n; ++i) element(i, sum[i % kLanes]);
  double total = 0;
  for (float lane : sum) total += lane;
  return total;
}

// Runs `span` over a tensor in a fixed split. gscale[c] = factor * sum over the channel of gy *
// dy/dscale.
void run_rule(double (*span)(const RuleSpan&), const kernels::ChannelLayout& layout, const float* x,
              const float* gy, const QParams& p, bool relu, float factor, float* gx, float* gscale);

}  // namespace stair::qat
