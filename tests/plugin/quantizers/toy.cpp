// A toy: fake quantization whose gradient is halved. It shows that a quantizer is one file: nothing
// in the project names it.
#include "autograd/ops/quantize.h"
#include "qat/rule.h"

namespace stair::qat {
namespace {

Dual forward(const RuleSample& a, double dx, double) {
  const Dual code =
      clamp_closed(round_through(Dual{a.x, 0.5 * dx} / Dual{a.scale, 0}), a.qmin, a.qmax);
  return code * Dual{a.scale, 0};
}

RuleGradient backward(const RuleSample& a) {
  const float q = std::nearbyint(a.x * (1.0F / a.scale));
  return {q >= a.qmin && q <= a.qmax ? 0.5F : 0.0F, 0.0F};
}

class Toy final : public Quantizer {
 public:
  using Quantizer::Quantizer;

 private:
  Variable apply(const Variable& x, bool relu) const override {
    const Variable q = autograd::quantize(x.detach(), qparams(x.deferred()), spec().dtype(), relu);
    return autograd::record("toy", {x}, q.value(), [](const Tensor& gy) {
      Tensor gx = gy.clone();
      for (int64_t i = 0; i < gx.numel(); ++i) gx.data<float>()[i] *= 0.5F;
      return std::vector<Tensor>{gx};
    });
  }
};

std::shared_ptr<Quantizer> make(const QuantizationSpec& spec, int64_t channels,
                                Activation activation) {
  return std::make_shared<Toy>(spec, channels, activation);
}

}  // namespace

const QuantizerDef quantizer_toy{"toy", "made for this test", "none", make, forward, backward};

}  // namespace stair::qat
