// Fake quantization with the straight-through estimator: scale and zero point from an observer.
//
//   q = clamp(rne(x / s) + z, qmin, qmax);  dx = dy where qmin <= rne(x / s) + z <= qmax, else 0
#include "autograd/ops/quantize.h"
#include "qat/rule.h"

namespace stair::qat {
namespace {

Dual forward(const RuleSample& a, double dx, double dscale) {
  const Dual x{a.x, dx}, scale{a.scale, dscale};
  // The scale is a constant here: its derivative is not part of the rule.
  const Dual constant{scale.value, 0};
  return clamp_closed(round_through(x / constant), a.qmin, a.qmax) * constant;
}

RuleGradient backward(const RuleSample& a) {
  const float q = std::nearbyint(a.x * (1.0F / a.scale));
  return {q >= a.qmin && q <= a.qmax ? 1.0F : 0.0F, 0.0F};
}

class Ste final : public Quantizer {
 public:
  using Quantizer::Quantizer;

 private:
  bool is_straight_through() const override { return true; }
  Variable apply(const Variable& x, bool relu) const override {
    return autograd::quantize(x, qparams(x.deferred()), spec().dtype(), relu);
  }
};

std::shared_ptr<Quantizer> make(const QuantizationSpec& spec, int64_t channels,
                                Activation activation) {
  return std::make_shared<Ste>(spec, channels, activation);
}

}  // namespace

const QuantizerDef quantizer_ste{
    "ste",   "Jacob et al., arXiv:1712.05877; the mask is on the rounded code, as in PyTorch",
    "none",  make,
    forward, backward,
};

}  // namespace stair::qat
