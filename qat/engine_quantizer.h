// The quantizer for our int8 engine: annotates all that it runs.
#pragma once

#include "qat/backend_quantizer.h"
#include "qat/quantization_config.h"

namespace stair::qat {

// Layers with weights (with the batch norm and ReLU behind them), sums and averages (with the ReLU
// behind them) get a specification of their output; what hands codes on shares its input's. A
// tensor is quantized as the layer that made it is configured; readers share that. The network's
// result stays in real numbers.
//
// Which configuration a node gets, the first that applies: `exclude` and `include`, the filter, the
// module name (of several the one set last), the type, the global one. An empty configuration
// leaves the node float. Each `set_` overrides what was set for the same name before.
class EngineQuantizer final : public BackendQuantizer {
 public:
  using Config = std::optional<QuantizationConfig>;
  using Filter = std::function<bool(const nn::Graph& graph, const nn::Node& node)>;

  EngineQuantizer() = default;
  explicit EngineQuantizer(QuantizationConfig global) { set_global(std::move(global)); }

  EngineQuantizer& set_global(Config config);
  // `type`: see object_type. Throws ConfigError when there is no such type.
  EngineQuantizer& set_object_type(const std::string& type, Config config);
  // `name`: see names_node.
  EngineQuantizer& set_module_name(const std::string& name, Config config);
  // Nodes for which it is false stay float.
  EngineQuantizer& set_filter(Filter filter);
  // `pattern`: see selects_node. Excluded nodes stay float; where there are included ones, all
  // others do.
  EngineQuantizer& exclude(const std::string& pattern);
  EngineQuantizer& include(const std::string& pattern);
  // Bits of the weights of the convolutions and linear layers that the pattern means (see
  // selects_node), also of the first and last; of several patterns the one set last.
  EngineQuantizer& set_weight_bits(const std::string& pattern, int bits);

  // Throws ConfigError with the nearest name when a name or pattern means no node of the graph.
  void annotate(const nn::Graph& graph, Annotations& annotations) const override;
  std::vector<std::string> quantization_capabilities() const override;

  // The configuration of a node, or why there is none.
  Config config_of(const nn::Graph& graph, const nn::Node& node, std::string& reason) const;
  // What set_weight_bits says of a node.
  std::optional<int> weight_bits_of(const nn::Node& node) const;

 private:
  using Named = std::vector<std::pair<std::string, Config>>;
  Config global_;
  Named types_, names_;
  Filter filter_;
  std::vector<std::string> excluded_, included_;
  std::vector<std::pair<std::string, int>> weight_bits_;
};

}  // namespace stair::qat
