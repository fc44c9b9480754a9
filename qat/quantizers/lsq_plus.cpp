// LSQ+: learned step size and, of activations, learned offset.
//
//   v = (x - beta) / s, codes from n to p
//   y = rne(clamp(v, n, p)) * s + beta
//   dy/dx = 1 where n < v < p, else 0;  dy/dbeta = 1 - dy/dx
//   dy/ds = n where v <= n; p where v >= p; rne(v) - v otherwise;  both times 1 / sqrt(N * p)
// Weights have no offset: s0 = max(|mean - 3 sd|, |mean + 3 sd|) / 2^(bits - 1). Activations start
// with beta at the smallest value and s of least squared error.
#include <algorithm>

#include "qat/learned_quantizer.h"

namespace stair::qat {
namespace {

struct Rule {
  static constexpr bool kLearnsOffset = true;
  [[gnu::always_inline]] static RuleGradient backward(const RuleSample& a) {
    const float v = a.x / a.scale;
    const bool below = v <= a.qmin, above = v >= a.qmax, outside = below || above;
    const float middle = std::nearbyint(v) - v;
    return {outside ? 0.0F : 1.0F, below ? a.qmin : above ? a.qmax : middle, outside ? 1.0F : 0.0F};
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

class LsqPlus final : public LearnedQuantizer {
 public:
  LsqPlus(const QuantizationSpec& spec, int64_t channels, Activation activation)
      : LearnedQuantizer(spec, channels, activation, {"lsq_plus", "scale", span, !spec.is_weight}) {
  }

 private:
  double initial(std::span<const float> values, double p) const override {
    if (!spec().is_weight) return least_squares_scale(values, 0, p);
    const Moments m = moments_of(values);
    const double low = m.mean - 3 * m.deviation, high = m.mean + 3 * m.deviation;
    return std::max(std::abs(low), std::abs(high)) / (p + 1);
  }
};

std::shared_ptr<Quantizer> make(const QuantizationSpec& spec, int64_t channels,
                                Activation activation) {
  return std::make_shared<LsqPlus>(spec, channels, activation);
}

}  // namespace

const QuantizerDef quantizer_lsq_plus{
    "lsq_plus",
    "Bhalgat et al., arXiv:2004.09576; ours: the offset acts through the zero point "
    "rne(qmin - beta / s), so that zero is a code, codes are integers and padding is exact",
    "scale f32 [channels], float a step; of activations offset f32 [channels], float",
    make,
    forward,
    backward,
};

}  // namespace stair::qat
