#include "qat/quantizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/batch_norm_passes.h"
#include "autograd/ops/relu.h"
#include "autograd/ops/relu6.h"
#include "core/text.h"

namespace stair::qat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

Quantizer::Quantizer(const QuantizationSpec& spec, int64_t channels, Activation activation)
    : spec_(spec), channels_(channels), activation_(activation) {
  validate(spec);
  observer_ = make_observer(spec, channels);
  for (const nn::NamedVariable& state : observer_->state())
    adopt_buffer(state.name, state.variable);
  observer_enabled_ = register_buffer("observer_enabled", Tensor::full<uint8_t>({1}, 1));
  fake_quant_enabled_ = register_buffer("fake_quant_enabled", Tensor::full<uint8_t>({1}, 1));
  learning_enabled_ = register_buffer("learning_enabled", Tensor::full<uint8_t>({1}, 1));
}

std::shared_ptr<nn::Module> Quantizer::clone() const {
  std::shared_ptr<Quantizer> copy = make_quantizer(spec_, channels_, activation_);
  const auto from = named_state(), to = copy->named_state();
  for (size_t i = 0; i < from.size(); ++i) {
    Tensor value = to[i].variable.value();
    value.copy_from(from[i].variable.value());
  }
  copy->train(is_training());
  return copy;
}

void Quantizer::enable_learning(bool on) {
  set_flag(learning_enabled_, on);
  for (nn::NamedVariable& parameter : named_parameters()) parameter.variable.set_requires_grad(on);
}

Variable Quantizer::forward(const Variable& x) {
  if (x.quantized()) return x;
  return activation_ == Activation::relu6 ? observe_and_apply(autograd::relu6(x), false)
                                          : observe_and_apply(x, activation_ == Activation::relu);
}

Variable Quantizer::observe_and_apply(const Variable& x, bool relu) {
  if (is_training() && observer_enabled()) observe(x.deferred());
  if (!fake_quant_enabled()) return relu ? autograd::relu(x) : x;
  return apply(x, relu);
}

Variable Quantizer::forward_normalized(const Variable& x, const Variable& gamma,
                                       const Variable& beta, const Variable& running_mean,
                                       const Variable& running_var,
                                       const autograd::BatchNormOptions& options) {
  autograd::ActiveRange active;
  if (activation_ != Activation::none) active.low = 0;
  if (activation_ == Activation::relu6) active.high = 6;
  const bool observes = is_training() && observer_enabled();
  if (!is_straight_through() || !fake_quant_enabled() || spec_.axis >= 0 || spec_.is_dynamic ||
      (observes && observer_->needs_values()))
    return observe_and_apply(
        autograd::batch_norm_activate(x, gamma, beta, running_mean, running_var, options, active),
        false);
  const autograd::BatchMoments moments =
      autograd::batch_moments(x, gamma, beta, running_mean, running_var, options, true);
  if (observes) {
    Range range{{kInfinity}, {-kInfinity}, 0};
    for (size_t c = 0; c < moments.min.size(); ++c) {
      if (moments.min[c] > moments.max[c]) continue;
      range.min[0] = std::min(range.min[0], std::clamp(moments.min[c], active.low, active.high));
      range.max[0] = std::max(range.max[0], std::clamp(moments.max[c], active.low, active.high));
    }
    observer_->observe({range, Tensor()});
  }
  return autograd::normalize_quantize(x, gamma, beta, moments, active, qparams(), spec_.dtype());
}

Range Quantizer::activated_range(const autograd::Deferred& x) const {
  Range range = range_of(x, spec_.axis);
  if (activation_ == Activation::relu)
    for (size_t c = 0; c < range.min.size(); ++c) {
      range.min[c] = std::max(range.min[c], 0.0F);
      range.max[c] = std::max(range.max[c], 0.0F);
    }
  return range;
}

void Quantizer::observe(const autograd::Deferred& x) {
  const Range range = activated_range(x);
  non_finite_seen_ += range.non_finite;
  observer_->observe(
      {range, observer_->needs_values() ? x.whole() : Tensor(), activation_ == Activation::relu});
}

QParams Quantizer::qparams(const autograd::Deferred& x) const {
  const bool follows =
      spec_.is_weight && spec_.averaging_constant == 1 && observer_enabled() && !is_training();
  if (x.defined() && (spec_.is_dynamic || follows)) {
    const Range range = activated_range(x);
    return qparams_of(range.min, range.max, spec_);
  }
  if (!calibrated())
    throw ConfigError("quantizer: no batch was seen yet, so there is no scale",
                      "calibrate first: run batches in training mode with the observers on");
  return observer_->qparams();
}

std::pair<int32_t, int32_t> Quantizer::code_range(Activation activation) const {
  if (activation == Activation::none) return {spec_.qmin, spec_.qmax};
  const QParams p = qparams();
  const int32_t lo = std::max(spec_.qmin, p.zero_point[0]);
  if (activation == Activation::relu) return {lo, spec_.qmax};
  const float six =
      std::nearbyint(6.0F * (1.0F / p.scale[0])) + static_cast<float>(p.zero_point[0]);
  return {lo, static_cast<int32_t>(
                  std::clamp(six, static_cast<float>(lo), static_cast<float>(spec_.qmax)))};
}

std::span<const QuantizerDef* const> quantizers() {
  static const QuantizerDef* const table[] = {
#define STAIR_QUANTIZER_FILE(stem) &quantizer_##stem,
#include "quantizer_files.inc"
#undef STAIR_QUANTIZER_FILE
  };
  return table;
}

const QuantizerDef& find_quantizer(const std::string& name) {
  std::vector<std::string> names;
  for (const QuantizerDef* def : quantizers()) {
    if (def->name == name) return *def;
    names.push_back(def->name);
  }
  throw ConfigError(
      str("no quantizer is called '", name, "'"),
      str("did you mean '", nearest(name, names), "'? there are ", join(names, ", ")));
}

std::shared_ptr<Quantizer> make_quantizer(const QuantizationSpec& spec, int64_t channels,
                                          Activation activation) {
  const QuantizerDef& def = find_quantizer(spec.quantizer);
  const std::string methods = str(", ", def.init, ", ");
  if (!spec.init.empty() && methods.find(str(", ", spec.init, ", ")) == std::string::npos)
    throw ConfigError(
        str("quantizer ", def.name, ": no initialisation is called '", spec.init, "'"),
        *def.init ? str("there are ", def.init) : str(def.name, " takes its range from observers"));
  return def.make(spec, channels, activation);
}

}  // namespace stair::qat
