// Quantizers: the research surface. A variant is one file qat/quantizers/<name>.cpp with its rule,
// its learned parameters and their initialisation; this base owns what all variants share: the
// three switches, the observer, state and printing.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "autograd/ops/batch_norm.h"
#include "nn/module.h"
#include "qat/observer.h"

namespace stair::qat {

using autograd::Variable;

// What a quantizer applies before it quantizes.
enum class Activation { none, relu, relu6 };

// x -> integers with QParams; float in (integers of an operation that quantized by itself pass), u8
// or s8 out, gradients straight-through as the variant defines. State (buffers): those of the
// observer; observer_enabled, fake_quant_enabled, learning_enabled u8 [1]; and the variant's
// own. Only a forward in training mode changes state.
class Quantizer : public nn::Module {
 public:
  // `channels`: size of spec.axis, 1 for per tensor. `activation`: clamp before quantizing (fused
  // ReLU).
  Quantizer(const QuantizationSpec& spec, int64_t channels,
            Activation activation = Activation::none);

  // Observes (training, observer on), then quantizes (fake-quant on), else returns the activated x
  // in float. Throws ConfigError "calibrate first" when nothing was ever observed.
  Variable forward(const Variable& x) final;

  // forward(batch_norm(x, ...)) in training, in one pass over memory where the variant allows it.
  Variable forward_normalized(const Variable& x, const Variable& gamma, const Variable& beta,
                              const Variable& running_mean, const Variable& running_var,
                              const autograd::BatchNormOptions& options);

  const QuantizationSpec& spec() const { return spec_; }
  Activation activation() const { return activation_; }
  const Observer& observer() const { return *observer_; }
  // Values that were NaN or infinite, and that the observer therefore left out.
  int64_t non_finite_seen() const { return non_finite_seen_; }
  // The codes that an activation before and the range allow: a ReLU raises lo to the zero point,
  // ReLU6 also lowers hi.
  std::pair<int32_t, int32_t> code_range(Activation activation) const;
  std::pair<int32_t, int32_t> code_range() const { return code_range(activation_); }

  bool observer_enabled() const { return flag(observer_enabled_); }
  bool fake_quant_enabled() const { return flag(fake_quant_enabled_); }
  bool learning_enabled() const { return flag(learning_enabled_); }
  void enable_observer(bool on) { set_flag(observer_enabled_, on); }
  void enable_fake_quant(bool on) { set_flag(fake_quant_enabled_, on); }
  void enable_learning(bool on);

  // Whether quantization parameters are known.
  virtual bool calibrated() const { return spec_.is_dynamic || observer_->calibrated(); }
  // Why the deployed integers cannot express what this quantizer does; empty when they can. Such a
  // quantizer trains on real numbers ("simulated"), and convert refuses it with this reason.
  virtual std::string simulated() const { return ""; }
  // The parameters that are in force for x. Weights whose observer follows the current tensor
  // (averaging constant 1) get those of x itself while the observer is on.
  virtual QParams qparams(const autograd::Deferred& x) const;

  // The parameters in force, where they do not depend on the tensor (activations).
  QParams qparams() const { return qparams(autograd::Deferred()); }

  std::shared_ptr<nn::Module> clone() const override;

 protected:
  // Called once a training forward while the observer is on, before quantizing. x may be before a
  // ReLU.
  virtual void observe(const autograd::Deferred& x);
  // The integers of x (before a ReLU, which it fuses: quantize max(x, 0)) and their gradient.
  virtual Variable apply(const Variable& x, bool relu) const = 0;

  // Whether apply is autograd::quantize with the observer's parameters.
  virtual bool is_straight_through() const { return false; }

  // The range of x after a fused ReLU.
  Range activated_range(const autograd::Deferred& x) const;
  std::unique_ptr<Observer> observer_;

 private:
  // Observes and quantizes x; relu: max(x, 0), which is still to be applied.
  Variable observe_and_apply(const Variable& x, bool relu);

  int64_t non_finite_seen_ = 0;
  static bool flag(const Variable& f) { return f.value().data<uint8_t>()[0] != 0; }
  static void set_flag(const Variable& f, bool on) { f.value().data<uint8_t>()[0] = on ? 1 : 0; }

  QuantizationSpec spec_;
  int64_t channels_;
  Activation activation_;
  Variable observer_enabled_, fake_quant_enabled_, learning_enabled_;
};

// The rule of a variant on one element, for the tests that every variant gets: with v the code of x
// before rounding, `forward` is the real number after quantization, written so that a dual number
// passes straight through roundings.
struct RuleSample {
  float x, scale;
  float qmin, qmax;  // codes relative to the zero point
};
struct RuleGradient {
  float x, scale;       // dy/dx, dy/dscale (before any gradient scaling)
  float offset = 0;     // dy/doffset, of rules that learn where the codes start
  float magnitude = 0;  // the gradient of x also gets this times |gy| (EWGS)
};
struct Dual {
  double value, derivative;
};

struct QuantizerDef {
  const char* name;
  const char* paper;       // source, and our differences from it
  const char* parameters;  // learned parameters: name, shape, unit
  std::shared_ptr<Quantizer> (*make)(const QuantizationSpec&, int64_t channels, Activation);
  // d/dx and d/dscale by dual numbers, and by the rule's own formulas.
  Dual (*forward)(const RuleSample&, double dx, double dscale);
  RuleGradient (*backward)(const RuleSample&);
  // What QuantizationSpec::init may be, separated by ", "; the first is the default.
  const char* init = "";
};

std::span<const QuantizerDef* const> quantizers();
// Throws ConfigError with the nearest name and the list.
const QuantizerDef& find_quantizer(const std::string& name);
// Throws ConfigError when the quantizer does not exist or has no such initialisation.
std::shared_ptr<Quantizer> make_quantizer(const QuantizationSpec& spec, int64_t channels,
                                          Activation activation = Activation::none);

#define STAIR_QUANTIZER_FILE(stem) extern const QuantizerDef quantizer_##stem;
#include "quantizer_files.inc"
#undef STAIR_QUANTIZER_FILE

}  // namespace stair::qat
