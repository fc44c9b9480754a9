// Specifications as JSON, for configuration files.
#pragma once

#include <optional>

#include "core/json.h"
#include "qat/qconfig.h"

namespace stair::qat {

// Keys: dtype ("quint8", "qint8"), qscheme ("per_tensor_affine", "per_channel_symmetric", ...),
// ch_axis, bits, quant_min, quant_max, eps, averaging_constant, percentile, scale, zero_point,
// quantizer, observer, init. Those that are missing have the values of activation_spec or
// weight_spec. Throws ConfigError with the nearest name on unknown keys and values, FormatError on
// values of another type.
Json to_json(const QuantizationSpec& spec);
QuantizationSpec spec_from_json(const Json& json, bool is_weight);

// null stands for none.
Json to_json(const std::optional<QConfig>& qconfig);
std::optional<QConfig> qconfig_from_json(const Json& json);

// Throws ConfigError when an object has a key that is not listed, with the nearest one.
void refuse_unknown_keys(const Json& object, const std::vector<std::string>& known,
                         const std::string& what);

}  // namespace stair::qat
