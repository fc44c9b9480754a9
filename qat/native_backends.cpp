// The configurations of the backends that come with torch.ao, for what our engine runs.
#include "qat/backend_config.h"

namespace stair::qat {
namespace {

using Patterns = std::vector<std::vector<std::string>>;

BackendConfig backend(const std::string& name, const std::vector<DTypeConfig>& weighted) {
  BackendConfig config(name);
  const auto add = [&](const Patterns& patterns, ObservationType type, bool weights) {
    for (const auto& pattern : patterns) {
      BackendPatternConfig entry(pattern);
      entry.set_observation_type(type);
      for (DTypeConfig dtype : weighted) {
        if (!weights) dtype.weight_dtype = dtype.bias_dtype = DTypeWithConstraints();
        entry.add_dtype_config(dtype);
      }
      config.set_backend_pattern_config(entry);
    }
  };
  Patterns layers, sums;
  for (const char* activation : {"", "ReLU", "ReLU6"}) {
    const auto with = [&](std::vector<std::string> types) {
      if (*activation) types.emplace_back(activation);
      return types;
    };
    layers.push_back(with({"Conv2d"}));
    layers.push_back(with({"Conv2d", "BatchNorm2d"}));
    layers.push_back(with({"Linear"}));
    sums.push_back(with({"add"}));
  }
  sums.push_back({"AvgPool2d"});
  sums.push_back({"AdaptiveAvgPool2d"});
  add(layers, ObservationType::OUTPUT_USE_DIFFERENT_OBSERVER_AS_INPUT, true);
  add(sums, ObservationType::OUTPUT_USE_DIFFERENT_OBSERVER_AS_INPUT, false);
  add({{"MaxPool2d"}, {"flatten"}, {"reshape"}, {"pad_channels"}, {"dropout"}},
      ObservationType::OUTPUT_SHARE_OBSERVER_WITH_INPUT, false);
  return config;
}

DTypeConfig fbgemm_types() {
  return {"quint8", "quint8", "qint8", "float"};
}

DTypeConfig qnnpack_types() {
  DTypeWithConstraints activation("quint8"), weight("qint8");
  activation.scale_min_lower_bound = weight.scale_min_lower_bound = 0x1p-12;
  weight.quant_min_lower_bound = -127;
  weight.quant_max_upper_bound = 127;
  return {activation, activation, weight, "float"};
}

}  // namespace

BackendConfig get_native_backend_config() {
  return backend("native", {fbgemm_types(), qnnpack_types()});
}
BackendConfig get_fbgemm_backend_config() {
  return backend("fbgemm", {fbgemm_types()});
}
BackendConfig get_qnnpack_backend_config() {
  return backend("qnnpack", {qnnpack_types()});
}

}  // namespace stair::qat
