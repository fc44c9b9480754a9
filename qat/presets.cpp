#include "qat/presets.h"

#include "core/text.h"

namespace stair::qat {
namespace {

QuantizationSpec activations(const char* observer, bool is_signed = false, bool symmetric = false) {
  QuantizationSpec spec = activation_spec();
  spec.is_signed = is_signed;
  spec.symmetric = symmetric;
  spec.observer = observer;
  set_bits(spec, 8);
  return spec;
}

QuantizationSpec weights(bool per_channel, int32_t qmin = -128) {
  QuantizationSpec spec = weight_spec();
  spec.axis = per_channel ? 0 : -1;
  spec.qmin = qmin;
  return spec;
}

QuantizationConfig dynamic_config() {
  QuantizationConfig config{activations("placeholder"), weights(true)};
  config.activation.is_dynamic = true;
  return config;
}

QuantizationConfig weight_only_config() {
  QuantizationConfig config{activation_spec(), weights(true)};
  config.weight_only = true;
  return config;
}

QuantizationConfig quark_config() {
  QuantizationConfig config{activations("minmax", true, true), weights(false)};
  config.weight.int8_bias = true;
  return config;
}

QuantizationConfig tqt_config() {
  QuantizationConfig config{activations("minmax"), weights(false)};
  config.activation.quantizer = config.weight.quantizer = "tqt";
  return config;
}

}  // namespace

const std::vector<Preset>& presets() {
  static const std::vector<Preset> kPresets = {
      {"x86",
       "u8 activations, histogram; weights per channel",
       {activations("histogram"), weights(true)}},
      {"x86-bf16",
       "as x86; what stays real is rounded to bf16",
       {activations("histogram"), weights(true)},
       true},
      {"onednn", "as x86", {activations("histogram"), weights(true)}},
      {"fbgemm", "as x86", {activations("histogram"), weights(true)}},
      {"qnnpack",
       "u8 activations, histogram; weights per tensor",
       {activations("histogram"), weights(false)}},
      {"xnnpack",
       "s8 affine activations, histogram; weights per tensor, [-127, 127]",
       {activations("histogram", true), weights(false, -127)}},
      {"tensorrt",
       "s8 symmetric activations, entropy; weights per channel, [-127, 127]",
       {activations("entropy", true, true), weights(true, -127)}},
      {"quark", "s8 symmetric activations, weights and biases per tensor, extremes",
       quark_config()},
      {"tqt", "power-of-two scales per tensor", tqt_config()},
      {"x86-dynamic",
       "linear layers: weights per channel, u8 activations with the range of each batch",
       dynamic_config()},
      {"weight-only", "weights per channel, activations real", weight_only_config()},
      {"minmax",
       "u8 activations and weights per tensor, extremes",
       {activations("minmax"), weights(false)}},
  };
  return kPresets;
}

const Preset& find_preset(const std::string& name) {
  std::vector<std::string> names;
  for (const Preset& preset : presets()) {
    if (preset.name == name) return preset;
    names.emplace_back(preset.name);
  }
  throw ConfigError(
      str("no preset is called '", name, "'"),
      str("did you mean '", nearest(name, names), "'? there are ", join(names, ", ")));
}

QuantizationConfig get_symmetric_quantization_config(bool is_per_channel, bool is_qat) {
  QuantizationConfig config;
  config.activation =
      activations(is_qat ? "moving_average_minmax" : "histogram", /*is_signed=*/true);
  config.weight = weights(is_per_channel, -127);
  config.activation.eps = config.weight.eps = 0x1p-12F;
  return config;
}

QuantizationConfig get_default_x86_inductor_quantization_config(bool is_qat) {
  QuantizationConfig config;
  config.activation = activations(is_qat ? "moving_average_minmax" : "histogram");
  return config;
}

}  // namespace stair::qat
