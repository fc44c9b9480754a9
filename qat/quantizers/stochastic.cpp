// Stochastic rounding: in training a value goes up with the probability of its fraction, so that
// the mean of its codes is the value; evaluation and deployment round to nearest.
//
//   q = clamp(floor(x / s + u) + z, qmin, qmax), u uniform in [0, 1);  gradient as `ste`
// Scale and zero point from an observer. The numbers come from the stream that training saves, by
// the place of the element.
#include <algorithm>

#include "autograd/dequantize.h"
#include "autograd/ops/quantize.h"
#include "qat/noise.h"
#include "qat/rule.h"

namespace stair::qat {
namespace {

struct Rule {
  [[gnu::always_inline]] static RuleGradient backward(const RuleSample& a) {
    const float q = std::nearbyint(a.x * (1.0F / a.scale));
    return {q >= a.qmin && q <= a.qmax ? 1.0F : 0.0F, 0.0F};
  }
};

STAIR_VECTORIZED RuleSums span(const RuleSpan& s) {
  return rule_span<Rule>(s);
}

Dual forward(const RuleSample& a, double dx, double) {
  const Dual scale{a.scale, 0};
  return clamp_closed(round_through(Dual{a.x, dx} / scale), a.qmin, a.qmax) * scale;
}

RuleGradient backward(const RuleSample& a) {
  return Rule::backward(a);
}

template <class T>
void round_by_chance(const Tensor& x, const QParams& p, bool relu, Tensor& q) {
  const kernels::ChannelLayout layout = autograd::channel_layout(x.shape(), p.axis);
  const float low = static_cast<float>(p.qmin), high = static_cast<float>(p.qmax);
  const float* from = x.data<float>();
  T* to = q.data<T>();
  for_each_with_noise(draw_noise_key(), x.numel(), [&](int64_t i, float u) {
    const size_t c = static_cast<size_t>(i / layout.inner % layout.channels);
    const float zero = static_cast<float>(p.zero_point[c]);
    const float v = relu && !(from[i] > 0) ? 0.0F : from[i];
    const float code = std::floor(v * (1.0F / p.scale[c]) + u) + zero;
    to[i] = static_cast<T>(std::isnan(code) ? zero : std::clamp(code, low, high));
  });
}

class Stochastic final : public Quantizer {
 public:
  using Quantizer::Quantizer;

 private:
  Variable apply(const Variable& x, bool relu) const override {
    const QParams p = qparams(x.deferred());
    if (!is_training()) return autograd::quantize(x, p, spec().dtype(), relu);
    Tensor q = Tensor::empty(x.shape(), spec().dtype());
    spec().is_signed ? round_by_chance<int8_t>(x.value(), p, relu, q)
                     : round_by_chance<uint8_t>(x.value(), p, relu, q);
    return record_rule("stochastic", x, q.with_qparams(p), span, p, relu);
  }
};

std::shared_ptr<Quantizer> make(const QuantizationSpec& spec, int64_t channels,
                                Activation activation) {
  return std::make_shared<Stochastic>(spec, channels, activation);
}

}  // namespace

const QuantizerDef quantizer_stochastic{
    "stochastic", "Gupta et al., arXiv:1502.02551; ours: in training only", "none", make, forward,
    backward,
};

}  // namespace stair::qat
