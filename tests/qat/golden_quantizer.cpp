#include "tests/qat/golden_quantizer.h"

#include <algorithm>

#include "autograd/ops/quantize.h"

namespace stair::qat {

RuledQuantizer::RuledQuantizer(const QuantizationSpec& spec, int64_t channels,
                               Activation activation, Rule rule)
    : Quantizer(spec, channels, activation), rule_(std::move(rule)) {}

QParams RuledQuantizer::qparams(const autograd::Deferred&) const {
  return rule_(*observer_);
}

Variable RuledQuantizer::apply(const Variable& x, bool relu) const {
  return autograd::quantize(x, qparams(x.deferred()), spec().dtype(), relu);
}

std::shared_ptr<Quantizer> make_fused_symmetric(const QuantizationSpec& spec, int64_t channels) {
  const auto rule = [spec](const Observer& range) {
    QParams p = range.qparams();
    for (size_t c = 0; c < p.scale.size(); ++c) {
      const int64_t i = static_cast<int64_t>(c);
      const float low = std::min(range.min_val().value().data<float>()[i], 0.0F);
      const float high = std::max(range.max_val().value().data<float>()[i], 0.0F);
      p.scale[c] = std::max(
          {low / static_cast<float>(spec.qmin), high / static_cast<float>(spec.qmax), kMinScale});
    }
    return p;
  };
  return std::make_shared<RuledQuantizer>(spec, channels, Activation::none, rule);
}

std::shared_ptr<Quantizer> make_fixed(const QuantizationSpec& spec, Activation activation,
                                      const QParams& qparams) {
  return std::make_shared<RuledQuantizer>(spec, static_cast<int64_t>(qparams.scale.size()),
                                          activation,
                                          [qparams](const Observer&) { return qparams; });
}

QuantizationSpec spec_of_codes(int32_t qmin, int32_t qmax) {
  QuantizationSpec spec;
  spec.is_signed = qmin < 0;
  spec.qmin = qmin;
  spec.qmax = qmax;
  spec.bits = 2;
  while (spec.bits < 8 && (int64_t{1} << spec.bits) <= qmax - qmin) ++spec.bits;
  return spec;
}

Tensor state_of(const Quantizer& quantizer, const std::string& name) {
  for (const nn::NamedVariable& state : quantizer.named_state())
    if (state.name == name) return state.variable.value().clone();
  throw ConfigError(str("quantizer ", quantizer.spec().quantizer, " has no '", name, "'"));
}

Tensor scales_of(const QParams& p) {
  return Tensor::from<float>(p.scale, {static_cast<int64_t>(p.scale.size())});
}

Tensor zero_points_of(const QParams& p) {
  return Tensor::from<int32_t>(p.zero_point, {static_cast<int64_t>(p.zero_point.size())});
}

}  // namespace stair::qat
