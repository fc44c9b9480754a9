#include "qat/quantization_config.h"

#include "qat/quantizer.h"

namespace stair::qat {

void validate(const QuantizationConfig& config) {
  validate(config.activation);
  validate(config.weight);
  if (config.weight.group_size > 0 && config.activation.is_dynamic)
    throw ConfigError("quantization: groups of weights with a dynamic range of activations",
                      "leave the groups out, or use a static or a weight-only preset");
}

QuantizationConfig x86_config(int weight_bits, int activation_bits, const std::string& quantizer) {
  QuantizationConfig config{activation_spec(activation_bits), weight_spec(weight_bits), true};
  config.activation.quantizer = config.weight.quantizer = find_quantizer(quantizer).name;
  return config;
}

}  // namespace stair::qat
