#include "apps/train/health_log.h"

#include <cmath>

#include "apps/program/report.h"

namespace stair::apps {
namespace {

using qat::LayerHealth;

constexpr std::string_view kPrefix = "scales/";

// The layer whose badness is greatest, and that.
struct Worst {
  std::string layer;
  double badness = 0;
  void see(const std::string& name, double value) {
    if (value > badness) {
      layer = name;
      badness = value;
    }
  }
};

std::string percent(const char* what, const Worst& worst) {
  if (worst.layer.empty()) return "";
  return str("  ", what, " ", worst.layer, " ", fixed(100 * worst.badness, 2), "%");
}

}  // namespace

void HealthLog::start(nn::GraphModule& model, const Tensor& pictures) {
  first_ = qat::layer_health(model, pictures);
}

void HealthLog::measure(nn::GraphModule& model, const Tensor& pictures,
                        const qat::OscillationTracker* tracker) {
  now_ = qat::layer_health(model, pictures);
  if (tracker) oscillating_ = tracker->oscillating_layers();
}

double HealthLog::drift(const std::string& layer, double LayerHealth::*scale) const {
  const auto start = first_.find(layer), now = now_.find(layer);
  const bool known = start != first_.end() && now != now_.end() && start->second.*scale > 0;
  return known ? now->second.*scale / (start->second.*scale) : 1;
}

Json HealthLog::to_json() const {
  Json j = Json::object();
  for (const auto& [name, health] : now_) {
    Json layer = Json::object();
    if (health.scale > 0) {
      layer.set("saturation", health.saturation);
      layer.set("scale_drift", drift(name, &LayerHealth::scale));
    }
    if (health.weight_scale > 0) {
      layer.set("weight_saturation", health.weight_saturation);
      layer.set("weight_scale_drift", drift(name, &LayerHealth::weight_scale));
    }
    if (const auto share = oscillating_.find(name); share != oscillating_.end())
      layer.set("oscillating", share->second);
    j.set(name, std::move(layer));
  }
  return j;
}

std::string HealthLog::line() const {
  Worst saturation, weights, oscillation, drifts;
  for (const auto& [name, health] : now_) {
    saturation.see(name, health.saturation);
    weights.see(name, health.weight_saturation);
    drifts.see(name, std::abs(std::log(drift(name, &LayerHealth::scale))));
    drifts.see(name + " weights", std::abs(std::log(drift(name, &LayerHealth::weight_scale))));
  }
  for (const auto& [name, share] : oscillating_) oscillation.see(name, share);
  std::string text = percent("saturated", saturation) + percent("weights saturated", weights) +
                     percent("oscillating", oscillation);
  if (!drifts.layer.empty())
    text +=
        str("  scale moved ", drifts.layer, " by a factor of ", fixed(std::exp(drifts.badness), 2));
  return text.empty() ? text : "worst layers:" + text;
}

std::vector<NamedTensor> HealthLog::state() const {
  std::vector<NamedTensor> state;
  for (const auto& [name, health] : first_)
    state.push_back({std::string(kPrefix) + name,
                     Tensor::from<double>({health.scale, health.weight_scale}, {2})});
  return state;
}

void HealthLog::load_state(std::span<const NamedTensor> state) {
  first_.clear();
  for (const NamedTensor& t : state)
    if (t.name.starts_with(kPrefix) && t.tensor.dtype() == DType::f64 && t.tensor.numel() == 2) {
      LayerHealth& health = first_[t.name.substr(kPrefix.size())];
      health.scale = t.tensor.data<double>()[0];
      health.weight_scale = t.tensor.data<double>()[1];
    }
}

}  // namespace stair::apps
