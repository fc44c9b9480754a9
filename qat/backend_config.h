// What a backend can quantize: patterns of operations and the types they take. Names are those of
// torch.ao.quantization.backend_config.
#pragma once

#include "core/json.h"
#include "qat/qconfig.h"

namespace stair::qat {

// How the quantizers around a pattern are placed.
enum class ObservationType {
  OUTPUT_USE_DIFFERENT_OBSERVER_AS_INPUT,  // inputs and output have one each
  OUTPUT_SHARE_OBSERVER_WITH_INPUT,        // the output has that of the inputs
  INPUT_OUTPUT_NOT_OBSERVED,               // there are none
};
const char* name_of(ObservationType type);

// A type and what a specification of it must keep to. The empty type: none.
struct DTypeWithConstraints {
  std::string dtype;
  std::optional<int64_t> quant_min_lower_bound, quant_max_upper_bound;
  std::optional<double> scale_min_lower_bound;  // the least scale: QuantizationSpec::eps
  std::optional<double> scale_exact_match;      // of the observer "fixed"
  std::optional<int64_t> zero_point_exact_match;

  DTypeWithConstraints() = default;
  DTypeWithConstraints(const char* dtype) : dtype(dtype) {}
  // "float" and no type ask for no quantization.
  bool is_float() const;
  // Empty when the specification keeps to it, else what it breaks.
  std::string broken_by(const QuantizationSpec& spec) const;
  bool operator==(const DTypeWithConstraints&) const = default;
};

struct DTypeConfig {
  DTypeWithConstraints input_dtype, output_dtype, weight_dtype, bias_dtype;
  bool is_dynamic = false;
  bool operator==(const DTypeConfig&) const = default;
};

// One pattern: a type, a chain of types, or the type that a fusion makes ("ConvReLU2d"). Types are
// those of object_type.
class BackendPatternConfig {
 public:
  BackendPatternConfig() = default;
  explicit BackendPatternConfig(std::vector<std::string> pattern) { set_pattern(pattern); }

  BackendPatternConfig& set_pattern(std::vector<std::string> pattern);
  BackendPatternConfig& set_observation_type(ObservationType type);
  BackendPatternConfig& add_dtype_config(DTypeConfig config);
  // The name of what the pattern is fused to: a pattern of that name is then this chain.
  BackendPatternConfig& set_fused_module(const std::string& type);
  // The graph has no modules to exchange; these are kept for tools that do.
  BackendPatternConfig& set_root_module(const std::string& type);
  BackendPatternConfig& set_qat_module(const std::string& type);
  BackendPatternConfig& set_reference_quantized_module(const std::string& type);
  BackendPatternConfig& set_fuser_method(const std::string& name);

  const std::vector<std::string>& pattern() const { return pattern_; }
  ObservationType observation_type() const { return observation_type_; }
  const std::vector<DTypeConfig>& dtype_configs() const { return dtype_configs_; }
  const std::string& fused_module() const { return fused_module_; }

  Json to_dict() const;
  static BackendPatternConfig from_dict(const Json& dict);
  bool operator==(const BackendPatternConfig&) const = default;

 private:
  std::vector<std::string> pattern_;
  ObservationType observation_type_ = ObservationType::OUTPUT_USE_DIFFERENT_OBSERVER_AS_INPUT;
  std::vector<DTypeConfig> dtype_configs_;
  std::string fused_module_, root_module_, qat_module_, reference_quantized_module_, fuser_method_;
};

class BackendConfig {
 public:
  explicit BackendConfig(std::string name = "") : name_(std::move(name)) {}

  BackendConfig& set_name(std::string name);
  // Replaces the configuration of the same pattern.
  BackendConfig& set_backend_pattern_config(const BackendPatternConfig& config);
  BackendConfig& set_backend_pattern_configs(const std::vector<BackendPatternConfig>& configs);

  const std::string& name() const { return name_; }
  const std::vector<BackendPatternConfig>& configs() const { return configs_; }

  // "name" and "configs", a list of what BackendPatternConfig::to_dict gives. from_dict throws
  // ConfigError with the nearest name on unknown keys and values.
  Json to_dict() const;
  static BackendConfig from_dict(const Json& dict);
  bool operator==(const BackendConfig&) const = default;

 private:
  std::string name_;
  std::vector<BackendPatternConfig> configs_;
};

// What our engine runs, with the types of fbgemm (u8 activations), of qnnpack (u8 activations,
// weights in [-127, 127], scales from 2^-12) or of both.
BackendConfig get_native_backend_config();
BackendConfig get_fbgemm_backend_config();
BackendConfig get_qnnpack_backend_config();

}  // namespace stair::qat
