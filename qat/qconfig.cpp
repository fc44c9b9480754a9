#include "qat/qconfig.h"

#include "core/error.h"
#include "qat/presets.h"

namespace stair::qat {

QConfig default_qconfig() {
  QConfig qconfig;
  qconfig.activation.observer = "minmax";
  qconfig.activation.qmax = 127;
  qconfig.weight.axis = -1;
  return qconfig;
}

QConfig get_default_qconfig(const std::string& backend) {
  const QuantizationConfig& config = find_preset(backend).config;
  return {config.activation, config.weight};
}

QConfig get_default_qat_qconfig(const std::string& backend) {
  QConfig qconfig = get_default_qconfig(backend);
  qconfig.activation.observer = qconfig.weight.observer = "moving_average_minmax";
  return qconfig;
}

bool is_signed_type(const std::string& dtype) {
  const std::string name = dtype.substr(dtype.rfind('.') + 1);
  if (name == "qint8" || name == "int8" || name == "s8") return true;
  if (name == "quint8" || name == "uint8" || name == "u8") return false;
  throw ConfigError("quantization: dtype '" + dtype + "'", "there are qint8 and quint8");
}

}  // namespace stair::qat
