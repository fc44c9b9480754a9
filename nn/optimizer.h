// Optimizers: SGD, Adam and AdamW as torch.optim defines them.
#pragma once

#include "autograd/optimizer_step.h"
#include "core/safetensors.h"
#include "nn/module.h"

namespace stair::nn {

// Parameters that share settings.
struct ParameterGroup {
  std::vector<NamedVariable> parameters;
  double lr_factor = 1;  // of the step's learning rate
  double weight_decay = 0;
};

// Whether a parameter is to decay: not those of one dimension or none (norms, biases) and none
// whose name ends in "scale".
bool decays(const NamedVariable& parameter);
// A group of those that decay and one of the others, without empty groups.
std::vector<ParameterGroup> decay_groups(const std::vector<NamedVariable>& parameters,
                                         double weight_decay);

class Optimizer {
 public:
  // Throws ConfigError when a parameter occurs twice, or for a factor or decay that is negative or
  // not finite.
  explicit Optimizer(std::vector<ParameterGroup> groups);
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // Moves every parameter that has a gradient, with the learning rate `lr` times its group's
  // factor. Throws ConfigError when lr is negative or not finite.
  void step(double lr);
  void zero_grad();
  std::vector<NamedVariable> parameters() const;

  // "<parameter>/step" (s64, scalar) and, once the parameter has moved, "<parameter>/<slot>", in
  // memory order (OHWI).
  std::vector<NamedTensor> save_state() const;
  // Takes copies. Throws FormatError, changing nothing, when an entry is missing, unknown or of
  // another shape or type.
  void load_state(std::span<const NamedTensor> state);

 protected:
  struct Entry {
    NamedVariable parameter;
    double lr_factor, weight_decay;
    int64_t steps = 0;
    std::vector<Tensor> slots;  // made at the first step
  };
  // Elements [begin, end) of a parameter and of what belongs to it.
  struct Piece {
    const Entry* entry;
    int64_t begin, end;
    Tensor of(const Tensor& t) const { return t.reshape({t.numel()}).slice(begin, end); }
    Tensor value() const { return of(entry->parameter.variable.value()); }
    Tensor grad() const { return of(entry->parameter.variable.grad()); }
  };
  // Names of the tensors kept for each parameter.
  virtual std::vector<std::string> slot_names() const = 0;
  // Called from several threads. `steps` counts this step already; the slots are zeros in the
  // first.
  virtual void update(const Piece& piece, double lr) const = 0;

 private:
  std::vector<Entry> entries_;
};

class Sgd : public Optimizer {
 public:
  // Of the options, lr and weight_decay are not used: the step and the group say them. Throws
  // ConfigError for Nesterov without momentum or with dampening, and for numbers out of range.
  Sgd(std::vector<ParameterGroup> groups, const autograd::SgdOptions& options);

 private:
  std::vector<std::string> slot_names() const override;
  void update(const Piece& piece, double lr) const override;
  autograd::SgdOptions options_;
};

// AdamW with `options.decoupled`.
class Adam : public Optimizer {
 public:
  // Of the options, lr and weight_decay are not used: the step and the group say them. Throws
  // ConfigError for numbers out of range.
  Adam(std::vector<ParameterGroup> groups, const autograd::AdamOptions& options);

 private:
  std::vector<std::string> slot_names() const override;
  void update(const Piece& piece, double lr) const override;
  autograd::AdamOptions options_;
};

}  // namespace stair::nn
