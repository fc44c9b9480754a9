// Several backends for one model.
#pragma once

#include "qat/backend_quantizer.h"

namespace stair::qat {

// Quantizers annotate in order. The first that annotates a node wins; what a later one would have
// changed is put back, and the report says so.
class ComposableQuantizer final : public BackendQuantizer {
 public:
  explicit ComposableQuantizer(std::vector<std::shared_ptr<const BackendQuantizer>> quantizers)
      : quantizers_(std::move(quantizers)) {}

  void annotate(const nn::Graph& graph, Annotations& annotations) const override;
  // All quantizers'.
  void validate(const nn::Graph& graph, const Annotations& annotations) const override;
  std::vector<std::string> quantization_capabilities() const override;

 private:
  std::vector<std::shared_ptr<const BackendQuantizer>> quantizers_;
};

}  // namespace stair::qat
