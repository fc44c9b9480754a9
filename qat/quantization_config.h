// What to quantize the tensors of a layer with.
#pragma once

#include <optional>

#include "qat/spec.h"

namespace stair::qat {

// The defaults: u8 affine activations per tensor, s8 symmetric weights per output channel.
struct QuantizationConfig {
  QuantizationSpec activation = activation_spec();
  QuantizationSpec weight = weight_spec();
  // Below 8 bits: the network's input, the first convolution's weights, and the last layer's input
  // and weights keep 8 bits.
  bool first_last_8_bits = true;
  // Below 8 bits: tensors that only additions read (a branch before its residual sum) keep 8 bits.
  // Fewer bits would make no multiplication cheaper, and cost accuracy.
  bool add_operands_8_bits = true;
  // Layers keep their weights as codes and compute on real numbers.
  bool weight_only = false;

  // Whether tensors between layers stay real numbers: also where linear layers quantize their input
  // with the range of each batch.
  bool real_activations() const { return weight_only || activation.is_dynamic; }

  // By the names of torch.ao's PT2E.
  const QuantizationSpec& get_input_act_qspec() const { return activation; }
  const QuantizationSpec& get_output_act_qspec() const { return activation; }
  const QuantizationSpec& get_weight_qspec() const { return weight; }

  bool operator==(const QuantizationConfig&) const = default;
};

// Throws ConfigError when a specification cannot be used.
void validate(const QuantizationConfig& config);

QuantizationConfig x86_config(int weight_bits = 8, int activation_bits = 8,
                              const std::string& quantizer = "ste");

}  // namespace stair::qat
