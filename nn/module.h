// Modules: functions with parameters, put together to trees.
//
// Activations are NHWC, convolution weights OHWI, linear weights [O,I]. Names are those of torch: a
// parameter's full path is the names of the modules that lead to it and its own, joined by points.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "autograd/variable.h"

namespace stair::nn {

using autograd::Variable;

struct NamedVariable {
  std::string name;
  Variable variable;
};

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  virtual Variable forward(const Variable& x) = 0;
  // For modules of several inputs, as nodes of a graph may be. Unless overridden, forward of the
  // only one; ConfigError when there are more.
  virtual Variable forward_many(std::span<const Variable> inputs);
  // next(forward_many(inputs)), where `next` is the only reader. A module may override it to do
  // both in one pass over memory.
  virtual Variable forward_into(std::span<const Variable> inputs, Module& next);
  // forward, with this module's name added to the scope while it runs.
  Variable operator()(const Variable& x);
  // A module of its own with the same values and mode. Unless overridden, ConfigError: the module
  // is of a kind that cannot be copied.
  virtual std::shared_ptr<Module> clone() const;

  // Whether batch norm takes the statistics of the batch and dropout drops. Modules start in
  // training mode.
  bool is_training() const { return training_; }
  // Sets the mode of this module and all below it.
  void train(bool on = true);
  void eval() { train(false); }

  // Every parameter once, own ones before the children's, in the order of registration.
  std::vector<NamedVariable> named_parameters() const;
  std::vector<NamedVariable> named_buffers() const;
  // Parameters and buffers in the order of torch's state_dict: a module's parameters, its buffers,
  // then its children.
  std::vector<NamedVariable> named_state() const;
  // This module (with an empty path) and all below it, parents first.
  std::vector<std::pair<std::string, Module*>> named_modules();
  const std::vector<std::pair<std::string, std::shared_ptr<Module>>>& children() const {
    return children_;
  }

  // Drops the gradients of all parameters.
  void zero_grad() const;
  // The name under which the parent knows this module; empty for a root.
  const std::string& name() const { return name_; }

 protected:
  // The registered variable, which requires a gradient. Throws ConfigError when the name is taken,
  // empty or has a point.
  Variable register_parameter(const std::string& name, Tensor value);
  // A value that is saved but not trained.
  Variable register_buffer(const std::string& name, Tensor value);
  template <class M>
  std::shared_ptr<M> register_module(const std::string& name, std::shared_ptr<M> module) {
    add_child(name, module);
    return module;
  }
  // Registers a variable that others may share under a name that may have points: the path in a
  // graph's original model.
  void adopt_parameter(const std::string& path, const Variable& variable);
  void adopt_buffer(const std::string& path, const Variable& variable);
  void adopt_module(const std::string& path, std::shared_ptr<Module> module);

 private:
  void collect(const std::string& prefix, bool parameters, bool buffers,
               std::vector<NamedVariable>& out) const;
  void add_child(const std::string& name, std::shared_ptr<Module> module);
  void claim(const std::string& name) const;

  std::string name_;
  bool training_ = true;
  struct State {
    std::string name;
    Variable variable;
    bool buffer;
  };
  std::vector<State> state_;
  std::vector<std::pair<std::string, std::shared_ptr<Module>>> children_;
};

// Adds a name or path to the scope for as long as it lives; nothing when it is empty.
class PathScope {
 public:
  explicit PathScope(const std::string& path);
  ~PathScope();
  PathScope(const PathScope&) = delete;
  PathScope& operator=(const PathScope&) = delete;

 private:
  size_t before_;
};

// The path of the module whose forward runs in this thread, counted from the module that was called
// first, such as "layer1.0.conv1"; empty outside of all.
const std::string& scope_path();

}  // namespace stair::nn
