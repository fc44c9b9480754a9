// EWGS, element-wise gradient scaling: LSQ's forward and learned step, and a gradient that is
// larger where it moves a value towards the other side of its rounding.
//
//   y = rne(clamp(v, n, p)) * s, v = x / s
//   gx = gy + delta * |gy| * (v - rne(v)) where n < v < p, else 0; delta = 0.2
//   gradient and start of s: as LSQ
#include "qat/learned_quantizer.h"

namespace stair::qat {
namespace {

constexpr float kDelta = 0.2F;

struct Rule {
  static constexpr bool kUsesMagnitude = true;
  [[gnu::always_inline]] static RuleGradient backward(const RuleSample& a) {
    const float v = a.x / a.scale, middle = std::nearbyint(v) - v;
    const bool below = v <= a.qmin, above = v >= a.qmax, inside = !(below || above);
    return {inside ? 1.0F : 0.0F,
            below   ? a.qmin
            : above ? a.qmax
                    : middle,
            0, inside ? -kDelta * middle : 0.0F};
  }
};

STAIR_VECTORIZED RuleSums span(const RuleSpan& s) {
  return rule_span<Rule>(s);
}

Dual forward(const RuleSample& a, double dx, double dscale) {
  const Dual x{a.x, dx}, scale{a.scale, dscale};
  return round_through(clamp_open(x / scale, a.qmin, a.qmax)) * scale;
}

RuleGradient backward(const RuleSample& a) {
  return Rule::backward(a);
}

class Ewgs final : public LearnedQuantizer {
 public:
  Ewgs(const QuantizationSpec& spec, int64_t channels, Activation activation)
      : LearnedQuantizer(spec, channels, activation, {"ewgs", "scale", span}) {}

 private:
  double initial(std::span<const float> values, double p) const override {
    return mean_scale(values, p);
  }
};

std::shared_ptr<Quantizer> make(const QuantizationSpec& spec, int64_t channels,
                                Activation activation) {
  return std::make_shared<Ewgs>(spec, channels, activation);
}

}  // namespace

const QuantizerDef quantizer_ewgs{
    "ewgs",
    "Lee et al., arXiv:2104.00903, equation 6; ours: a step learned as in LSQ in place of an "
    "interval, and delta is constant as in Nagel et al., arXiv:2203.11086",
    "scale f32 [channels], float a step",
    make,
    forward,
    backward,
};

}  // namespace stair::qat
