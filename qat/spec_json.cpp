#include "qat/spec_json.h"

#include <algorithm>

#include "core/error.h"
#include "core/text.h"

namespace stair::qat {
namespace {

const std::vector<std::string> kKeys = {
    "dtype",      "qscheme",   "ch_axis",    "bits",
    "quant_min",  "quant_max", "eps",        "averaging_constant",
    "percentile", "scale",     "zero_point", "quantizer",
    "observer",   "init",      "is_dynamic", "group_size",
    "int8_bias"};
const std::vector<std::string> kSchemes = {"per_tensor_affine", "per_tensor_symmetric",
                                           "per_channel_affine", "per_channel_symmetric"};

std::string scheme_of(const QuantizationSpec& spec) {
  return str(spec.axis < 0 ? "per_tensor" : "per_channel",
             spec.symmetric ? "_symmetric" : "_affine");
}

void read_scheme(const std::string& text, QuantizationSpec& spec) {
  const std::string scheme = text.substr(text.rfind('.') + 1);
  if (std::find(kSchemes.begin(), kSchemes.end(), scheme) == kSchemes.end())
    throw ConfigError(
        str("quantization: qscheme '", text, "'"),
        str("did you mean '", nearest(scheme, kSchemes), "'? there are ", join(kSchemes)));
  spec.symmetric = scheme.ends_with("_symmetric");
  spec.axis = scheme.starts_with("per_tensor") ? -1 : 0;
}

}  // namespace

void refuse_unknown_keys(const Json& object, const std::vector<std::string>& known,
                         const std::string& what) {
  for (const auto& [key, value] : object.as_object())
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw ConfigError(str(what, ": unknown key ", in_quotes(key)), did_you_mean(key, known));
}

Json to_json(const QuantizationSpec& spec) {
  Json j = Json::object();
  j.set("dtype", spec.is_signed ? "qint8" : "quint8");
  j.set("qscheme", scheme_of(spec));
  if (spec.axis >= 0) j.set("ch_axis", spec.axis);
  if (spec.int8_bias) j.set("int8_bias", true);
  if (spec.group_size > 0) j.set("group_size", spec.group_size);
  j.set("bits", spec.bits);
  j.set("quant_min", spec.qmin);
  j.set("quant_max", spec.qmax);
  j.set("eps", spec.eps);
  j.set("averaging_constant", spec.averaging_constant);
  j.set("quantizer", spec.quantizer);
  j.set("observer", spec.observer);
  if (!spec.init.empty()) j.set("init", spec.init);
  if (spec.is_dynamic) j.set("is_dynamic", true);
  if (spec.observer == "percentile") j.set("percentile", spec.percentile);
  if (spec.observer == "fixed") {
    j.set("scale", spec.fixed_scale);
    j.set("zero_point", spec.fixed_zero_point);
  }
  return j;
}

QuantizationSpec spec_from_json(const Json& json, bool is_weight) {
  refuse_unknown_keys(json, kKeys, "quantization specification");
  QuantizationSpec spec = is_weight ? weight_spec() : activation_spec();
  const auto with = [&](const char* key, const auto& use) {
    if (const Json* value = json.find(key)) use(*value);
  };
  const auto whole = [](const Json& j) { return static_cast<int32_t>(j.as_int()); };
  with("dtype", [&](const Json& j) { spec.is_signed = is_signed_type(j.as_string()); });
  with("qscheme", [&](const Json& j) { read_scheme(j.as_string(), spec); });
  with("ch_axis", [&](const Json& j) { spec.axis = whole(j); });
  with("group_size", [&](const Json& j) { spec.group_size = j.as_int(); });
  with("bits", [&](const Json& j) { spec.bits = whole(j); });
  set_bits(spec, spec.bits);
  with("quant_min", [&](const Json& j) { spec.qmin = whole(j); });
  with("quant_max", [&](const Json& j) { spec.qmax = whole(j); });
  with("eps", [&](const Json& j) { spec.eps = static_cast<float>(j.as_double()); });
  with("averaging_constant", [&](const Json& j) { spec.averaging_constant = j.as_double(); });
  with("percentile", [&](const Json& j) { spec.percentile = j.as_double(); });
  with("scale", [&](const Json& j) { spec.fixed_scale = static_cast<float>(j.as_double()); });
  with("zero_point", [&](const Json& j) { spec.fixed_zero_point = whole(j); });
  with("quantizer", [&](const Json& j) { spec.quantizer = j.as_string(); });
  with("observer", [&](const Json& j) { spec.observer = j.as_string(); });
  with("init", [&](const Json& j) { spec.init = j.as_string(); });
  with("int8_bias", [&](const Json& j) { spec.int8_bias = j.as_bool(); });
  with("is_dynamic", [&](const Json& j) { spec.is_dynamic = j.as_bool(); });
  validate(spec);
  return spec;
}

Json to_json(const std::optional<QConfig>& qconfig) {
  if (!qconfig) return {};
  Json j = Json::object();
  j.set("activation", to_json(qconfig->activation));
  j.set("weight", to_json(qconfig->weight));
  return j;
}

std::optional<QConfig> qconfig_from_json(const Json& json) {
  if (json.is_null()) return std::nullopt;
  refuse_unknown_keys(json, {"activation", "weight"}, "qconfig");
  QConfig qconfig;
  if (const Json* spec = json.find("activation")) qconfig.activation = spec_from_json(*spec, false);
  if (const Json* spec = json.find("weight")) qconfig.weight = spec_from_json(*spec, true);
  return qconfig;
}

}  // namespace stair::qat
