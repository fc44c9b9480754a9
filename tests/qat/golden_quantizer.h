// Quantizers for golden cases whose scales do not come from our observers' formula.
#pragma once

#include <functional>

#include "qat/quantizer.h"

namespace stair::qat {

// Observes and rounds as `ste` does, with the parameters that `rule` makes of the observed range.
class RuledQuantizer final : public Quantizer {
 public:
  using Rule = std::function<QParams(const Observer& range)>;
  RuledQuantizer(const QuantizationSpec& spec, int64_t channels, Activation activation, Rule rule);

  bool calibrated() const override { return true; }
  QParams qparams(const autograd::Deferred& x) const override;

 private:
  Variable apply(const Variable& x, bool relu) const override;
  Rule rule_;
};

// Scale max(-min / -qmin, max / qmax): the fused fake-quant modules of torch.ao when symmetric. The
// library has the convention of torch.ao's observers alone, max(-min, max) / 127.5 for 8 bits.
std::shared_ptr<Quantizer> make_fused_symmetric(const QuantizationSpec& spec, int64_t channels);
// These parameters, whatever was observed.
std::shared_ptr<Quantizer> make_fixed(const QuantizationSpec& spec, Activation activation,
                                      const QParams& qparams);

// s8 or u8 as the codes need it, of the bits that hold them; per tensor and affine.
QuantizationSpec spec_of_codes(int32_t qmin, int32_t qmax);
// A value of the quantizer's state.
Tensor state_of(const Quantizer& quantizer, const std::string& name);
// Scales and zero points as tensors of one dimension.
Tensor scales_of(const QParams& p);
Tensor zero_points_of(const QParams& p);

}  // namespace stair::qat
