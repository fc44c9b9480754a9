#include "nn/graph/graph_module.h"

#include <map>
#include <set>

#include "autograd/batch_norm_passes.h"
#include "autograd/op.h"
#include "autograd/profile.h"

namespace stair::nn {
namespace {

constexpr size_t kAbsent = 0;  // the slot that always holds an undefined variable
constexpr size_t kBatchNormWithCounter =
    6;  // inputs of a batch_norm node that has num_batches_tracked

bool has_mode(const Node& node) {
  return node.op == "batch_norm" || node.op == "dropout";
}

bool frozen(const Node& node) {
  return node.attributes.has("frozen") && node.attributes.get<bool>("frozen");
}

Attributes in_mode(const Node& node, bool training) {
  Attributes attributes = node.attributes;
  if (has_mode(node)) attributes.set("training", training && !frozen(node));
  return attributes;
}

bool is_activation(const Node& node) {
  return node.op == "relu" || node.op == "relu6";
}

void require(bool complete, const Node& node, const char* what) {
  if (!complete)
    throw ConfigError(str("graph: node ", node.id, " '", node.name, "' has no ", what));
}

}  // namespace

GraphModule::GraphModule(Graph graph) : graph_(std::move(graph)) {
  graph_.check();
  register_state();
  plan();
}

void GraphModule::register_state() {
  std::set<const Module*> known;
  for (const Node& node : graph_.nodes()) {
    if (node.is_state()) require(node.variable.defined(), node, "variable");
    if (node.op == "module") require(node.module != nullptr, node, "module");
    if (node.op == "parameter") adopt_parameter(node.name, node.variable);
    if (node.op == "buffer") adopt_buffer(node.name, node.variable);
    if (node.op == "module" && known.insert(node.module.get()).second)
      adopt_module(node.name, node.module);
  }
}

void GraphModule::plan() {
  std::map<int, size_t> slot = {{-1, kAbsent}};
  std::map<size_t, size_t> last_step, readers;
  for (const Node& node : graph_.nodes()) {
    const size_t result = slot.size();
    slot[node.id] = result;
    if (node.is_state()) state_.emplace_back(result, &node);
    if (!node.operation()) continue;
    Step step{&node, nullptr, in_mode(node, true), in_mode(node, false), {}, result, {}};
    if (node.op != "module") step.apply = autograd::find_op(node.op).apply;
    for (int input : node.inputs) {
      step.inputs.push_back(slot.at(input));
      ++readers[step.inputs.back()];
      last_step[step.inputs.back()] = steps_.size();
    }
    last_step.try_emplace(result, steps_.size());
    steps_.push_back(std::move(step));
  }
  slots_ = slot.size();
  input_slot_ = slot.at(graph_.input());
  output_slot_ = slot.at(graph_.output());
  for (size_t i = 0; i + 1 < steps_.size(); ++i) {
    Step& step = steps_[i];
    const Step& next = steps_[i + 1];
    const bool modules = step.apply == nullptr && next.apply == nullptr;
    const bool activated = step.node->op == "batch_norm" && is_activation(*next.node);
    step.into_next = (modules || activated) && next.inputs == std::vector<size_t>{step.result} &&
                     readers[step.result] == 1 && step.result != output_slot_;
  }
  for (const auto& [finished, step] : last_step)
    if (finished != kAbsent && finished != output_slot_) steps_[step].finished.push_back(finished);
}

bool GraphModule::joins(const Step& step, std::span<const Variable> inputs) const {
  // Who observes or traces gets every value.
  if (!step.into_next || observer_ || autograd::tracing()) return false;
  return step.apply == nullptr || (is_training() && !frozen(*step.node) && inputs[0].defined() &&
                                   inputs[0].dtype() == DType::f32);
}

Variable GraphModule::run_joined(const Step& step, const Step& next,
                                 std::span<const Variable> inputs) const {
  const PathScope path(step.node->path);
  if (step.apply == nullptr) return step.node->module->forward_into(inputs, *next.node->module);
  autograd::BatchNormOptions options;
  options.momentum = step.training.get<double>("momentum");
  options.eps = step.training.get<double>("eps");
  autograd::ActiveRange range;
  range.low = 0;
  if (next.node->op == "relu6") range.high = 6;
  if (inputs.size() == kBatchNormWithCounter) ++*inputs.back().value().data<int64_t>();
  return autograd::batch_norm_activate(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4],
                                       options, range);
}

Variable GraphModule::run(const Step& step, std::span<const Variable> inputs) const {
  const PathScope path(step.node->path);
  if (step.apply == nullptr) return step.node->module->forward_many(inputs);
  const Attributes& attributes = is_training() ? step.training : step.evaluating;
  Variable y = step.apply(inputs, attributes);
  if (step.node->op == "batch_norm" && inputs.size() == kBatchNormWithCounter &&
      attributes.get<bool>("training"))
    *inputs.back().value().data<int64_t>() += 1;
  return y;
}

Variable GraphModule::forward(const Variable& x) {
  const Node& input = graph_.node(graph_.input());
  if (!input.dims.empty()) check_dims(input.name, input.dims, x.shape());
  std::vector<Variable> values(slots_);
  for (const auto& [slot, node] : state_) values[slot] = node->variable;
  values[input_slot_] = x;
  if (observer_) observer_(input, x);
  std::vector<Variable> inputs;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    inputs.clear();
    for (size_t slot : step.inputs) inputs.push_back(values[slot]);
    for (size_t slot : step.finished) values[slot] = Variable();
    const autograd::LayerScope layer(step.node->id);
    if (joins(step, inputs)) {
      const Step& next = steps_[++i];
      values[next.result] = run_joined(step, next, inputs);
      continue;
    }
    values[step.result] = run(step, inputs);
    if (observer_) observer_(*step.node, values[step.result]);
  }
  return values[output_slot_];
}

std::shared_ptr<Module> GraphModule::clone() const {
  auto copy = std::make_shared<GraphModule>(graph_.deep_copy());
  copy->train(is_training());
  return copy;
}

}  // namespace stair::nn
