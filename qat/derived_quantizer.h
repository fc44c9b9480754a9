// A quantizer whose parameters follow from those of other tensors.
#pragma once

#include "nn/module.h"
#include "qat/annotation.h"

namespace stair::qat {

// Inputs of forward_many: x and the integers that the parameters are derived from. While one of
// those is in float (fake-quant off), x is returned as it is. No state.
class DerivedQuantizer final : public nn::Module {
 public:
  explicit DerivedQuantizer(DerivedQuantizationSpec spec) : spec_(std::move(spec)) {}

  nn::Variable forward(const nn::Variable& x) override;
  nn::Variable forward_many(std::span<const nn::Variable> inputs) override;
  std::shared_ptr<nn::Module> clone() const override;

  // Throws ConfigError when the function yields what cannot be used.
  QParams qparams(std::span<const QParams> derived_from) const;
  const DerivedQuantizationSpec& spec() const { return spec_; }

 private:
  DerivedQuantizationSpec spec_;
};

}  // namespace stair::qat
