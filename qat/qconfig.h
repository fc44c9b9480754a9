// QConfig: what a layer of the FX and the eager flow is quantized with; names are torch.ao's.
#pragma once

#include <optional>

#include "qat/spec.h"

namespace stair::qat {

struct QConfig {
  QuantizationSpec activation = activation_spec();
  QuantizationSpec weight = weight_spec();
  bool operator==(const QConfig&) const = default;
};

// Activations in [0, 127] and weights per tensor, both by their extremes.
QConfig default_qconfig();
// Without training, of a backend: x86, fbgemm, onednn or another preset. Throws ConfigError with
// the nearest name.
QConfig get_default_qconfig(const std::string& backend = "x86");
// With training: ranges of activations follow by moving average, those of weights each step.
QConfig get_default_qat_qconfig(const std::string& backend = "x86");

// Of a type's name: "qint8", "int8", "s8" and "torch.qint8" are signed, "quint8", "uint8" and "u8"
// are not. Throws ConfigError for others.
bool is_signed_type(const std::string& dtype);

}  // namespace stair::qat
