// The quantizer of FX graph mode: what the user wants (QConfigMapping) where the backend can
// (BackendConfig).
#pragma once

#include "qat/backend_config.h"
#include "qat/backend_quantizer.h"
#include "qat/qconfig_mapping.h"

namespace stair::qat {

// At each operation the longest pattern of the backend that begins there and whose values have no
// other readers is taken when all of its parts have one and the same QConfig, and that keeps to one
// of the pattern's DTypeConfigs. Whatever stays float has the reason in the report. The network's
// result stays in real numbers.
class FxQuantizer final : public BackendQuantizer {
 public:
  // Throws ConfigError with the nearest name when a pattern has a type that there is not and that
  // no fusion makes.
  FxQuantizer(QConfigMapping mapping, const BackendConfig& backend);

  // Throws ConfigError with the nearest name when the mapping names what the graph has not.
  void annotate(const nn::Graph& graph, Annotations& annotations) const override;
  std::vector<std::string> quantization_capabilities() const override;

  struct Pattern {
    std::vector<std::string> ops;
    BackendPatternConfig config;
  };

 private:
  QConfigMapping mapping_;
  std::string backend_;
  std::vector<Pattern> patterns_;  // the longest first
};

}  // namespace stair::qat
