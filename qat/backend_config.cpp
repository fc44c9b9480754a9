#include "qat/backend_config.h"

#include <algorithm>

#include "core/error.h"
#include "core/text.h"
#include "qat/spec_json.h"

namespace stair::qat {
namespace {

constexpr ObservationType kTypes[] = {ObservationType::OUTPUT_USE_DIFFERENT_OBSERVER_AS_INPUT,
                                      ObservationType::OUTPUT_SHARE_OBSERVER_WITH_INPUT,
                                      ObservationType::INPUT_OUTPUT_NOT_OBSERVED};

ObservationType observation_type_of(const std::string& text) {
  std::vector<std::string> names;
  for (const ObservationType type : kTypes) {
    if (text == name_of(type)) return type;
    names.emplace_back(name_of(type));
  }
  throw ConfigError(str("BackendConfig: observation type ", in_quotes(text)),
                    did_you_mean(text, names));
}

Json to_json(const DTypeWithConstraints& d) {
  Json j = Json::object();
  j.set("dtype", d.dtype);
  const auto set = [&](const char* key, const auto& value) {
    if (value) j.set(key, *value);
  };
  set("quant_min_lower_bound", d.quant_min_lower_bound);
  set("quant_max_upper_bound", d.quant_max_upper_bound);
  set("scale_min_lower_bound", d.scale_min_lower_bound);
  set("scale_exact_match", d.scale_exact_match);
  set("zero_point_exact_match", d.zero_point_exact_match);
  return j;
}

// An object, or the type alone.
DTypeWithConstraints dtype_from(const Json& j) {
  DTypeWithConstraints d;
  if (j.is_string()) {
    d.dtype = j.as_string();
    return d;
  }
  refuse_unknown_keys(j,
                      {"dtype", "quant_min_lower_bound", "quant_max_upper_bound",
                       "scale_min_lower_bound", "scale_exact_match", "zero_point_exact_match"},
                      "DTypeWithConstraints");
  d.dtype = j.at("dtype").as_string();
  const auto whole = [&](const char* key, std::optional<int64_t>& to) {
    if (const Json* value = j.find(key)) to = value->as_int();
  };
  const auto real = [&](const char* key, std::optional<double>& to) {
    if (const Json* value = j.find(key)) to = value->as_double();
  };
  whole("quant_min_lower_bound", d.quant_min_lower_bound);
  whole("quant_max_upper_bound", d.quant_max_upper_bound);
  real("scale_min_lower_bound", d.scale_min_lower_bound);
  real("scale_exact_match", d.scale_exact_match);
  whole("zero_point_exact_match", d.zero_point_exact_match);
  return d;
}

Json to_json(const DTypeConfig& c) {
  Json j = Json::object();
  const auto set = [&](const char* key, const DTypeWithConstraints& d) {
    if (!d.dtype.empty()) j.set(key, to_json(d));
  };
  set("input_dtype", c.input_dtype);
  set("output_dtype", c.output_dtype);
  set("weight_dtype", c.weight_dtype);
  set("bias_dtype", c.bias_dtype);
  j.set("is_dynamic", c.is_dynamic);
  return j;
}

DTypeConfig dtype_config_from(const Json& j) {
  refuse_unknown_keys(j,
                      {"input_dtype", "output_dtype", "weight_dtype", "bias_dtype", "is_dynamic"},
                      "DTypeConfig");
  DTypeConfig c;
  const auto read = [&](const char* key, DTypeWithConstraints& to) {
    if (const Json* value = j.find(key)) to = dtype_from(*value);
  };
  read("input_dtype", c.input_dtype);
  read("output_dtype", c.output_dtype);
  read("weight_dtype", c.weight_dtype);
  read("bias_dtype", c.bias_dtype);
  if (const Json* value = j.find("is_dynamic")) c.is_dynamic = value->as_bool();
  return c;
}

}  // namespace

const char* name_of(ObservationType type) {
  switch (type) {
    case ObservationType::OUTPUT_USE_DIFFERENT_OBSERVER_AS_INPUT:
      return "OUTPUT_USE_DIFFERENT_OBSERVER_AS_INPUT";
    case ObservationType::OUTPUT_SHARE_OBSERVER_WITH_INPUT:
      return "OUTPUT_SHARE_OBSERVER_WITH_INPUT";
    default:
      return "INPUT_OUTPUT_NOT_OBSERVED";
  }
}

bool DTypeWithConstraints::is_float() const {
  return dtype.empty() || dtype.ends_with("float") || dtype.ends_with("float32");
}

std::string DTypeWithConstraints::broken_by(const QuantizationSpec& spec) const {
  if (is_float()) return "";
  if (is_signed_type(dtype) != spec.is_signed)
    return str("is ", spec.is_signed ? "qint8" : "quint8", ", the backend takes ", dtype);
  if (quant_min_lower_bound && spec.qmin < *quant_min_lower_bound)
    return str("has quant_min ", spec.qmin, ", the backend's least is ", *quant_min_lower_bound);
  if (quant_max_upper_bound && spec.qmax > *quant_max_upper_bound)
    return str("has quant_max ", spec.qmax, ", the backend's most is ", *quant_max_upper_bound);
  const bool fixed = spec.observer == "fixed";
  if (scale_min_lower_bound &&
      (fixed ? spec.fixed_scale : spec.eps) < static_cast<float>(*scale_min_lower_bound))
    return str("allows scales from ", fixed ? spec.fixed_scale : spec.eps,
               " on (eps), the backend takes them from ", *scale_min_lower_bound);
  if (scale_exact_match && !(fixed && spec.fixed_scale == static_cast<float>(*scale_exact_match)))
    return str("has not the fixed scale ", *scale_exact_match);
  if (zero_point_exact_match && !(fixed && spec.fixed_zero_point == *zero_point_exact_match))
    return str("has not the fixed zero point ", *zero_point_exact_match);
  return "";
}

BackendPatternConfig& BackendPatternConfig::set_pattern(std::vector<std::string> pattern) {
  if (pattern.empty()) throw ConfigError("BackendPatternConfig: the pattern is empty");
  pattern_ = std::move(pattern);
  return *this;
}
BackendPatternConfig& BackendPatternConfig::set_observation_type(ObservationType type) {
  observation_type_ = type;
  return *this;
}
BackendPatternConfig& BackendPatternConfig::add_dtype_config(DTypeConfig config) {
  dtype_configs_.push_back(std::move(config));
  return *this;
}
BackendPatternConfig& BackendPatternConfig::set_fused_module(const std::string& type) {
  fused_module_ = type;
  return *this;
}
BackendPatternConfig& BackendPatternConfig::set_root_module(const std::string& type) {
  root_module_ = type;
  return *this;
}
BackendPatternConfig& BackendPatternConfig::set_qat_module(const std::string& type) {
  qat_module_ = type;
  return *this;
}
BackendPatternConfig& BackendPatternConfig::set_reference_quantized_module(
    const std::string& type) {
  reference_quantized_module_ = type;
  return *this;
}
BackendPatternConfig& BackendPatternConfig::set_fuser_method(const std::string& name) {
  fuser_method_ = name;
  return *this;
}

Json BackendPatternConfig::to_dict() const {
  Json pattern = Json::array(), dtypes = Json::array();
  for (const std::string& type : pattern_) pattern.push_back(type);
  for (const DTypeConfig& config : dtype_configs_) dtypes.push_back(to_json(config));
  Json dict = Json::object();
  dict.set("pattern", std::move(pattern));
  dict.set("observation_type", name_of(observation_type_));
  dict.set("dtype_configs", std::move(dtypes));
  const auto set = [&](const char* key, const std::string& value) {
    if (!value.empty()) dict.set(key, value);
  };
  set("fused_module", fused_module_);
  set("root_module", root_module_);
  set("qat_module", qat_module_);
  set("reference_quantized_module", reference_quantized_module_);
  set("fuser_method", fuser_method_);
  return dict;
}

BackendPatternConfig BackendPatternConfig::from_dict(const Json& dict) {
  refuse_unknown_keys(dict,
                      {"pattern", "observation_type", "dtype_configs", "fused_module",
                       "root_module", "qat_module", "reference_quantized_module", "fuser_method"},
                      "BackendPatternConfig");
  BackendPatternConfig config;
  const Json& pattern = dict.at("pattern");
  std::vector<std::string> types;
  if (pattern.is_string()) {
    types.push_back(pattern.as_string());
  } else {
    for (const Json& type : pattern.as_array()) types.push_back(type.as_string());
  }
  config.set_pattern(std::move(types));
  if (const Json* type = dict.find("observation_type"))
    config.set_observation_type(observation_type_of(type->as_string()));
  if (const Json* dtypes = dict.find("dtype_configs"))
    for (const Json& d : dtypes->as_array()) config.add_dtype_config(dtype_config_from(d));
  const auto read = [&](const char* key, std::string& to) {
    if (const Json* value = dict.find(key)) to = value->as_string();
  };
  read("fused_module", config.fused_module_);
  read("root_module", config.root_module_);
  read("qat_module", config.qat_module_);
  read("reference_quantized_module", config.reference_quantized_module_);
  read("fuser_method", config.fuser_method_);
  return config;
}

BackendConfig& BackendConfig::set_name(std::string name) {
  name_ = std::move(name);
  return *this;
}

BackendConfig& BackendConfig::set_backend_pattern_config(const BackendPatternConfig& config) {
  const auto known = std::find_if(configs_.begin(), configs_.end(),
                                  [&](const auto& c) { return c.pattern() == config.pattern(); });
  if (known != configs_.end())
    *known = config;
  else
    configs_.push_back(config);
  return *this;
}

BackendConfig& BackendConfig::set_backend_pattern_configs(
    const std::vector<BackendPatternConfig>& configs) {
  for (const BackendPatternConfig& config : configs) set_backend_pattern_config(config);
  return *this;
}

Json BackendConfig::to_dict() const {
  Json configs = Json::array();
  for (const BackendPatternConfig& config : configs_) configs.push_back(config.to_dict());
  Json dict = Json::object();
  dict.set("name", name_);
  dict.set("configs", std::move(configs));
  return dict;
}

BackendConfig BackendConfig::from_dict(const Json& dict) {
  refuse_unknown_keys(dict, {"name", "configs"}, "BackendConfig");
  BackendConfig config;
  if (const Json* name = dict.find("name")) config.set_name(name->as_string());
  if (const Json* configs = dict.find("configs"))
    for (const Json& c : configs->as_array())
      config.set_backend_pattern_config(BackendPatternConfig::from_dict(c));
  return config;
}

}  // namespace stair::qat
