// LSQ, learned step size quantization.
//
//   v = x / s, relative to the zero point: n = qmin - z, p = qmax - z
//   y = rne(clamp(v, n, p)) * s
//   dy/dx = 1 where n < v < p, else 0
//   dy/ds = n where v <= n; p where v >= p; rne(v) - v otherwise; times 1 / sqrt(N * p)
//   N = elements a scale stands for: of a weight all of its channel, of an activation those of one
//   sample
//   s0 = 2 * mean(|x|) / sqrt(p) ("mean"), or the step of least squared error ("mse"), from the
//   first weights or the first batch
#include "qat/learned_quantizer.h"

namespace stair::qat {
namespace {

struct Rule {
  [[gnu::always_inline]] static RuleGradient backward(const RuleSample& a) {
    const float v = a.x / a.scale;
    const bool below = v <= a.qmin, above = v >= a.qmax;
    const float middle = std::nearbyint(v) - v;
    return {below || above ? 0.0F : 1.0F, below ? a.qmin : above ? a.qmax : middle};
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

class Lsq final : public LearnedQuantizer {
 public:
  Lsq(const QuantizationSpec& spec, int64_t channels, Activation activation)
      : LearnedQuantizer(spec, channels, activation, {"lsq", "scale", span}) {}

 private:
  double initial(std::span<const float> values, double p) const override {
    if (spec().init == "mse")
      return least_squares_scale(values, spec().is_signed || p < spec().qmax ? -p - 1 : 0, p);
    return mean_scale(values, p);
  }
};

std::shared_ptr<Quantizer> make(const QuantizationSpec& spec, int64_t channels,
                                Activation activation) {
  return std::make_shared<Lsq>(spec, channels, activation);
}

}  // namespace

const QuantizerDef quantizer_lsq{
    "lsq",
    "Esser et al., arXiv:1902.08153, equations 1 to 4; ours: N of a weight is one channel's "
    "elements when scales are per channel, and an "
    "activation with negative values gets a zero point in the middle of the unsigned range",
    "scale f32 [channels], float a step",
    make,
    forward,
    backward,
    "mean, mse",
};

}  // namespace stair::qat
