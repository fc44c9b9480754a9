#include "nn/module.h"

#include <algorithm>
#include <set>

namespace stair::nn {
namespace {

thread_local std::string scope;

std::string join_path(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + '.' + name;
}

void require_simple(const std::string& name) {
  if (name.empty() || name.find('.') != std::string::npos)
    throw ConfigError(str("module: '", name, "' is no name for a part of a module"),
                      "names have at least one character and no point");
}

// The variables that were not seen before, in order.
std::vector<NamedVariable> once(std::vector<NamedVariable> all) {
  std::set<const void*> seen;
  std::erase_if(all, [&](const NamedVariable& v) { return !seen.insert(v.variable.id()).second; });
  return all;
}

void list_modules(const std::string& path, Module& module,
                  std::vector<std::pair<std::string, Module*>>& out) {
  out.emplace_back(path, &module);
  for (const auto& [name, child] : module.children())
    list_modules(join_path(path, name), *child, out);
}

}  // namespace

PathScope::PathScope(const std::string& path) : before_(scope.size()) {
  if (path.empty()) return;
  if (!scope.empty()) scope += '.';
  scope += path;
}

PathScope::~PathScope() {
  scope.resize(before_);
}

const std::string& scope_path() {
  return scope;
}

Variable Module::operator()(const Variable& x) {
  const PathScope here(name_);
  return forward(x);
}

Variable Module::forward_into(std::span<const Variable> inputs, Module& next) {
  return next(forward_many(inputs));
}

Variable Module::forward_many(std::span<const Variable> inputs) {
  if (inputs.size() != 1)
    throw ConfigError(str("module '", name_, "': takes one input, got ", inputs.size()));
  return forward(inputs[0]);
}

std::shared_ptr<Module> Module::clone() const {
  throw ConfigError(str("module '", name_, "': modules of this kind cannot be copied"));
}

void Module::train(bool on) {
  training_ = on;
  for (const auto& [name, child] : children_) child->train(on);
}

void Module::claim(const std::string& name) const {
  const bool taken =
      std::any_of(state_.begin(), state_.end(), [&](const State& s) { return s.name == name; }) ||
      std::any_of(children_.begin(), children_.end(),
                  [&](const auto& c) { return c.first == name; });
  if (taken) throw ConfigError(str("module '", name_, "': the name '", name, "' is taken"));
}

Variable Module::register_parameter(const std::string& name, Tensor value) {
  require_simple(name);
  claim(name);
  const Variable variable(std::move(value), true);
  const auto buffers =
      std::find_if(state_.begin(), state_.end(), [](const State& s) { return s.buffer; });
  state_.insert(buffers, {name, variable, false});
  return variable;
}

Variable Module::register_buffer(const std::string& name, Tensor value) {
  require_simple(name);
  const Variable variable(std::move(value));
  adopt_buffer(name, variable);
  return variable;
}

void Module::add_child(const std::string& name, std::shared_ptr<Module> module) {
  require_simple(name);
  module->name_ = name;
  adopt_module(name, std::move(module));
}

void Module::adopt_parameter(const std::string& path, const Variable& variable) {
  claim(path);
  state_.push_back({path, variable, false});
}

void Module::adopt_buffer(const std::string& path, const Variable& variable) {
  claim(path);
  state_.push_back({path, variable, true});
}

void Module::adopt_module(const std::string& path, std::shared_ptr<Module> module) {
  claim(path);
  children_.emplace_back(path, std::move(module));
}

void Module::collect(const std::string& prefix, bool parameters, bool buffers,
                     std::vector<NamedVariable>& out) const {
  for (const State& s : state_)
    if (s.buffer ? buffers : parameters) out.push_back({join_path(prefix, s.name), s.variable});
  for (const auto& [name, child] : children_)
    child->collect(join_path(prefix, name), parameters, buffers, out);
}

std::vector<NamedVariable> Module::named_parameters() const {
  std::vector<NamedVariable> out;
  collect("", true, false, out);
  return once(std::move(out));
}

std::vector<NamedVariable> Module::named_buffers() const {
  std::vector<NamedVariable> out;
  collect("", false, true, out);
  return once(std::move(out));
}

std::vector<NamedVariable> Module::named_state() const {
  std::vector<NamedVariable> out;
  collect("", true, true, out);
  return out;
}

std::vector<std::pair<std::string, Module*>> Module::named_modules() {
  std::vector<std::pair<std::string, Module*>> out;
  list_modules("", *this, out);
  return out;
}

void Module::zero_grad() const {
  for (NamedVariable& p : named_parameters()) p.variable.zero_grad();
}

}  // namespace stair::nn
