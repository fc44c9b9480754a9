// Saturation, drift of scales and oscillation of each layer, epoch by epoch.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/safetensors.h"
#include "qat/insight/layer_health.h"
#include "qat/oscillation.h"

namespace stair::apps {

class HealthLog {
 public:
  // Scales that later ones are compared with: those behind the first step on integers.
  bool started() const { return !first_.empty(); }
  void start(nn::GraphModule& model, const Tensor& pictures);

  // `tracker` may be null.
  void measure(nn::GraphModule& model, const Tensor& pictures,
               const qat::OscillationTracker* tracker);

  // {layer: {"saturation", "scale_drift", "weight_saturation", "weight_scale_drift",
  // "oscillating"}}, shares and ratios; what a layer does not have is left out.
  Json to_json() const;
  // The worst layer of each kind in one line.
  std::string line() const;

  // For checkpoints.
  std::vector<NamedTensor> state() const;
  void load_state(std::span<const NamedTensor> state);

 private:
  using Scales = std::map<std::string, qat::LayerHealth>;
  // Of a scale against its start; 1 where there is nothing to compare.
  double drift(const std::string& layer, double qat::LayerHealth::*scale) const;

  Scales first_, now_;
  std::map<std::string, double> oscillating_;
};

}  // namespace stair::apps
