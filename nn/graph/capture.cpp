#include "nn/graph/capture.h"

#include <algorithm>
#include <map>
#include <set>

#include "nn/layers/batch_norm2d.h"

namespace stair::nn {
namespace {

// Puts every module into evaluation mode and, at the end, back into its own.
class EvalScope {
 public:
  explicit EvalScope(Module& model) {
    for (const auto& [path, module] : model.named_modules())
      before_.emplace_back(module, module->is_training());
    model.eval();
  }
  // Parents come first, and train() sets what is below: children's own modes are written after.
  ~EvalScope() {
    for (const auto& [module, training] : before_) module->train(training);
  }
  EvalScope(const EvalScope&) = delete;
  EvalScope& operator=(const EvalScope&) = delete;

 private:
  std::vector<std::pair<Module*, bool>> before_;
};

class Recorder : public autograd::Tracer {
 public:
  Recorder(Module& model, const Variable& example) : batch_(example.size(0)) {
    std::set<const void*> trained;
    for (const NamedVariable& p : model.named_parameters()) trained.insert(p.variable.id());
    for (const NamedVariable& s : model.named_state()) {
      if (ids_.contains(s.variable.id())) continue;
      Node node;
      node.op = trained.contains(s.variable.id()) ? "parameter" : "buffer";
      node.name = s.name;
      node.variable = s.variable;
      node.shape = s.variable.shape();
      remember(s.variable, graph_.append(std::move(node)));
    }
    for (const auto& [path, module] : model.named_modules())
      if (const auto* bn = dynamic_cast<const BatchNorm2d*>(module); bn != nullptr && bn->frozen())
        frozen_.insert(path);
    Node input;
    input.op = input.name = "input";
    input.shape = symbolic(example.shape());
    remember(example, graph_.append(std::move(input)));
    batched_.insert(graph_.input());
  }

  void operation(const char* op, const std::vector<Variable>& inputs, const Attributes& attributes,
                 const Variable& y) override {
    Node node;
    node.op = op;
    node.path = scope_path();
    node.name = node.path.empty() ? node.op : node.path + '.' + node.op;
    node.attributes = attributes;
    bool batched = false;
    for (const Variable& input : inputs) {
      node.inputs.push_back(input.defined() ? id_of(input, node.name) : -1);
      batched = batched || batched_.contains(node.inputs.back());
    }
    if (node.op == "batch_norm") complete_batch_norm(node);
    node.shape = batched ? symbolic(y.shape()) : y.shape();
    const int id = graph_.append(std::move(node));
    if (batched) batched_.insert(id);
    remember(y, id);
  }

  Graph finish(const Variable& y) {
    const auto it = ids_.find(y.id());
    if (it == ids_.end()) throw ConfigError("capture: the model's result was made by no operation");
    graph_.set_output(it->second);
    graph_.erase_dead();
    return std::move(graph_);
  }

 private:
  int id_of(const Variable& v, const std::string& user) const {
    const auto it = ids_.find(v.id());
    if (it == ids_.end())
      throw ConfigError(str("capture: '", user, "' takes a value ", v.value(),
                            " that is no input, parameter, buffer or result of an operation"),
                        "register constants with register_buffer");
    return it->second;
  }

  void complete_batch_norm(Node& node) {
    if (frozen_.contains(node.path)) node.attributes.set("frozen", true);
    const std::string counter = node.path + ".num_batches_tracked";
    if (const Node* buffer = graph_.find(counter)) node.inputs.push_back(buffer->id);
  }

  Shape symbolic(const Shape& shape) const {
    std::vector<int64_t> dims = shape.dims();
    if (!dims.empty() && dims[0] == batch_) dims[0] = kBatch;
    return Shape(std::move(dims));
  }

  // Kept alive, so that no later variable gets the id of one that is gone.
  void remember(const Variable& v, int id) {
    ids_[v.id()] = id;
    kept_.push_back(v);
  }

  int64_t batch_;
  Graph graph_;
  std::map<const void*, int> ids_;
  std::set<int> batched_;
  std::set<std::string> frozen_;
  std::vector<Variable> kept_;
};

}  // namespace

Graph capture(Module& model, const Variable& example) {
  if (example.shape().rank() < 1)
    throw ShapeError(str("capture: example ", example.value(), " has no batch"));
  const EvalScope eval(model);
  const autograd::NoGrad no_grad;
  Recorder recorder(model, example);
  const autograd::TraceScope scope(&recorder);
  const Variable y = model.forward(example);
  return recorder.finish(y);
}

Graph capture(Module& model, const Variable& example, const DynamicShapes& dynamic) {
  Graph graph = capture(model, example);
  Node& input = graph.node(graph.input());
  input.dims = dims_of(input.name, example.shape(), dynamic);
  return graph;
}

}  // namespace stair::nn
