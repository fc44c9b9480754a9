#include "qat/derived_quantizer.h"

#include "autograd/ops/quantize.h"

namespace stair::qat {

nn::Variable DerivedQuantizer::forward(const nn::Variable&) {
  throw ConfigError("DerivedQuantizer: the tensors that the parameters follow from are inputs",
                    "call forward_many");
}

nn::Variable DerivedQuantizer::forward_many(std::span<const nn::Variable> inputs) {
  std::vector<QParams> sources;
  for (const nn::Variable& source : inputs.subspan(1)) {
    if (!source.quantized()) return inputs[0];
    sources.push_back(source.value().qparams());
  }
  return autograd::quantize(inputs[0], qparams(sources), spec_.is_signed ? DType::s8 : DType::u8);
}

std::shared_ptr<nn::Module> DerivedQuantizer::clone() const {
  auto copy = std::make_shared<DerivedQuantizer>(spec_);
  copy->train(is_training());
  return copy;
}

QParams DerivedQuantizer::qparams(std::span<const QParams> derived_from) const {
  QParams p = spec_.derive_qparams_fn(derived_from);
  if (p.scale.size() != 1 || p.zero_point.size() != 1)
    throw ConfigError(str("derived quantization of '", name(), "': ", p.scale.size(),
                          " scales and ", p.zero_point.size(), " zero points, expected one each"));
  p.axis = -1;
  p.qmin = static_cast<int32_t>(spec_.quant_min);
  p.qmax = static_cast<int32_t>(spec_.quant_max);
  return p;
}

}  // namespace stair::qat
