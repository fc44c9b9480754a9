// DSQ, differentiable soft quantization: the forward rounds, the gradient is that of a soft stair.
//
//   v = x / s, codes clamp(rne(v), n, p), scale and zero point from an observer
//   soft stair in the cell [i, i + 1): i + 1/2 + tanh(k * (v - i - 1/2)) / (2 * (1 - alpha)),
//   k = ln(2 / alpha - 1), alpha = 0.4
//   dy/dx = its slope where n <= v <= p, else 0
#include "autograd/ops/quantize.h"
#include "qat/rule.h"

namespace stair::qat {
namespace {

constexpr float kAlpha = 0.4F;
constexpr float kSharpness = 1.3862944F;  // ln(2 / 0.4 - 1)

// tanh(z) for |z| <= ln(4) / 2, to float's precision: Lambert's continued fraction to its sixth
// term, which compilers can vectorise.
[[gnu::always_inline]] inline float tanh_near_zero(float z) {
  const float u = z * z;
  return z * (10395 + u * (1260 + u * 21)) / (10395 + u * (4725 + u * (210 + u)));
}

struct Rule {
  [[gnu::always_inline]] static RuleGradient backward(const RuleSample& a) {
    const float v = a.x / a.scale;
    const float t = tanh_near_zero(kSharpness * (v - std::floor(v) - 0.5F));
    const bool inside = v >= a.qmin && v <= a.qmax;
    return {inside ? kSharpness * (1 - t * t) / (2 * (1 - kAlpha)) : 0.0F, 0.0F};
  }
};

STAIR_VECTORIZED RuleSums span(const RuleSpan& s) {
  return rule_span<Rule>(s);
}

// The soft stair with its derivative, moved onto the hard one.
Dual forward(const RuleSample& a, double dx, double) {
  const Dual scale{a.scale, 0}, v = clamp_closed(Dual{a.x, dx} / scale, a.qmin, a.qmax);
  const double t = std::tanh(kSharpness * (v.value - std::floor(v.value) - 0.5));
  const double slope = kSharpness * (1 - t * t) / (2 * (1 - kAlpha));
  return Dual{std::nearbyint(v.value), v.derivative * slope} * scale;
}

RuleGradient backward(const RuleSample& a) {
  return Rule::backward(a);
}

class Dsq final : public Quantizer {
 public:
  using Quantizer::Quantizer;

 private:
  Variable apply(const Variable& x, bool relu) const override {
    const QParams p = qparams(x.deferred());
    const Tensor q = autograd::quantize(x.detach(), p, spec().dtype(), relu).value();
    return record_rule("dsq", x, q, span, p, relu);
  }
};

std::shared_ptr<Quantizer> make(const QuantizationSpec& spec, int64_t channels,
                                Activation activation) {
  return std::make_shared<Dsq>(spec, channels, activation);
}

}  // namespace

const QuantizerDef quantizer_dsq{
    "dsq",
    "Gong et al., arXiv:1908.05033; ours: alpha is constant and the range comes from an observer, "
    "as in MQBench",
    "none",
    make,
    forward,
    backward,
};

}  // namespace stair::qat
