// PACT, parameterized clipping activation.
//
//   s = alpha / p;  y = rne(clamp(x, n * s, alpha) / s) * s
//   dy/dx = 1 where n * s < x < alpha, else 0
//   dy/dalpha = 1 where x >= alpha; n / p where x <= n * s; else 0
// Weights and activations with negative values are clipped on both sides, n < 0. The paper decays
// alpha. alpha0 = the largest magnitude ("max"), what has the least squared error ("mse"), or 6
// ("six").
#include <algorithm>

#include "qat/learned_quantizer.h"

namespace stair::qat {
namespace {

struct Rule {
  [[gnu::always_inline]] static RuleGradient backward(const RuleSample& a) {
    const bool below = a.x <= a.qmin * a.scale, above = a.x >= a.qmax * a.scale;
    return {below || above ? 0.0F : 1.0F, above ? a.qmax : below ? a.qmin : 0.0F};
  }
};

STAIR_VECTORIZED RuleSums span(const RuleSpan& s) {
  return rule_span<Rule>(s);
}

Dual forward(const RuleSample& a, double dx, double dscale) {
  const Dual x{a.x, dx}, scale{a.scale, dscale}, constant{a.scale, 0};
  if (x.value >= a.qmax * scale.value) return scale * Dual{a.qmax, 0};
  if (x.value <= a.qmin * scale.value) return scale * Dual{a.qmin, 0};
  return round_through(x / constant) * constant;
}

RuleGradient backward(const RuleSample& a) {
  return Rule::backward(a);
}

class Pact final : public LearnedQuantizer {
 public:
  Pact(const QuantizationSpec& spec, int64_t channels, Activation activation)
      : LearnedQuantizer(spec, channels, activation, {"pact", "alpha", span}) {}

 private:
  double initial(std::span<const float> values, double p) const override {
    if (spec().init == "six") return 6;
    const bool both = std::any_of(values.begin(), values.end(), [](float v) { return v < 0; });
    if (spec().init == "mse") return p * least_squares_scale(values, both ? -p - 1 : 0, p);
    float most = 0;
    for (float v : values) most = std::max(most, std::abs(v));
    return most;
  }
  float scale_of(float alpha, float p) const override { return std::max(alpha / p, kMinScale); }
  float slope_of(float, float p) const override { return 1 / p; }
  double gradient_scale(double, double) const override { return 1; }
};

std::shared_ptr<Quantizer> make(const QuantizationSpec& spec, int64_t channels,
                                Activation activation) {
  return std::make_shared<Pact>(spec, channels, activation);
}

}  // namespace

const QuantizerDef quantizer_pact{
    "pact",
    "Choi et al., arXiv:1805.06085; ours: the clip starts at the data's range, not at a constant, "
    "and tensors with negative values are clipped on both sides",
    "alpha f32 [channels], float",
    make,
    forward,
    backward,
    "max, mse, six",
};

}  // namespace stair::qat
