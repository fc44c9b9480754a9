#include "qat/eager/eager_model.h"

#include <algorithm>

#include "core/text.h"
#include "nn/graph/capture.h"
#include "nn/layers/activation.h"
#include "nn/layers/batch_norm2d.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/linear.h"
#include "qat/convert_qdq.h"
#include "qat/engine_quantizer.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;

// A letter a module: c convolution, l linear, b batch norm, r ReLU or ReLU6.
char kind_of(const nn::Module& module) {
  if (dynamic_cast<const nn::Conv2d*>(&module)) return 'c';
  if (dynamic_cast<const nn::Linear*>(&module)) return 'l';
  if (dynamic_cast<const nn::BatchNorm2d*>(&module)) return 'b';
  const bool relu =
      dynamic_cast<const nn::ReLU*>(&module) || dynamic_cast<const nn::ReLU6*>(&module);
  return relu ? 'r' : '?';
}

// Whether a batch norm or ReLU was fused to the layer before it.
bool is_fused(const Graph& graph, const Node& node, const ModuleLists& lists) {
  const Node& before = graph.node(node.inputs[0]);
  // FloatFunctional::add_relu.
  if (before.op == "add" && before.path == node.path) return true;
  return std::any_of(lists.begin(), lists.end(), [&](const auto& list) {
    const auto place = std::find(list.begin(), list.end(), node.path);
    return place != list.begin() && place != list.end() && *(place - 1) == before.path;
  });
}

// Ids of the nodes between stubs; without any all.
std::set<int> quantized_region(const Graph& graph) {
  std::set<int> inside, all;
  for (const Node& node : graph.nodes()) {
    all.insert(node.id);
    const bool reached = std::any_of(node.inputs.begin(), node.inputs.end(),
                                     [&](int input) { return inside.contains(input); });
    if (node.op == "quant_stub" || (reached && node.op != "dequantize")) inside.insert(node.id);
  }
  return inside.empty() ? all : inside;
}

}  // namespace

EagerModel::EagerModel(std::shared_ptr<nn::Module> model, const Variable& example)
    : model_(std::move(model)), graph_(nn::capture(*model_, example)) {
  runs_ = std::make_shared<nn::GraphModule>(graph_);
  runs_->train(model_->is_training());
}

nn::Module* EagerModel::find(const std::string& path) const {
  std::vector<std::string> names;
  for (const auto& [name, module] : model_->named_modules()) {
    if (name == path) return module;
    names.push_back(name);
  }
  throw ConfigError(str("the model has no module '", path, "'"), did_you_mean(path, names));
}

EagerModel& EagerModel::set_qconfig(const std::string& path, std::optional<QConfig> qconfig) {
  find(path);
  std::erase_if(qconfigs_, [&](const auto& entry) { return entry.first == path; });
  qconfigs_.emplace_back(path, std::move(qconfig));
  return *this;
}

void EagerModel::require(Step step, const char* function) const {
  if (step_ == step) return;
  throw ConfigError(str(function, ": the model is ",
                        step_ == Step::floating   ? "not prepared yet"
                        : step_ == Step::prepared ? "prepared already"
                                                  : "converted already"),
                    "the order is: qconfig, fuse_modules, prepare, run batches, convert");
}

void EagerModel::require_mode(bool training, const char* function, const char* hint) const {
  if (is_training() != training)
    throw ConfigError(
        str(function, ": the model is in ", training ? "evaluation" : "training", " mode"), hint);
}

void EagerModel::fuse(const ModuleLists& lists, const char* function) {
  require(Step::floating, function);
  for (const auto& list : lists) {
    std::string kinds;
    for (const std::string& path : list) kinds += kind_of(*find(path));
    static const std::set<std::string> kKnown = {"cb", "cr", "cbr", "lr"};
    if (!kKnown.contains(kinds))
      throw ConfigError(str(function, ": [", join(list), "] cannot be fused"),
                        kinds == "br" ? "the list leaves the convolution out: it must come first"
                                      : "lists are conv, bn; conv, relu; conv, bn, relu; linear, "
                                        "relu");
    const bool follow = std::all_of(list.begin() + 1, list.end(), [&](const std::string& path) {
      const auto& nodes = graph_.nodes();
      return std::any_of(nodes.begin(), nodes.end(), [&](const Node& node) {
        return node.operation() && node.path == path && is_fused(graph_, node, {list});
      });
    });
    if (!follow)
      throw ConfigError(str(function, ": the modules of [", join(list),
                            "] do not read each other's results in this order"));
    fused_.push_back(list);
  }
}

void EagerModel::prepare_graph(const char* function) {
  require(Step::floating, function);
  const bool any = std::any_of(qconfigs_.begin(), qconfigs_.end(),
                               [](const auto& entry) { return entry.second.has_value(); });
  if (!any)
    throw ConfigError(str(function, ": no module has a QConfig"),
                      "set_qconfig(\"\", get_default_qconfig(\"x86\")) takes them all");
  EngineQuantizer quantizer;
  auto by_depth = qconfigs_;
  // The nearest module wins: deeper ones are set later.
  std::stable_sort(by_depth.begin(), by_depth.end(),
                   [](const auto& a, const auto& b) { return a.first.size() < b.first.size(); });
  for (const auto& [path, qconfig] : by_depth) {
    EngineQuantizer::Config config;
    if (qconfig) config = QuantizationConfig{qconfig->activation, qconfig->weight, false, false};
    if (path.empty())
      quantizer.set_global(config);
    else
      quantizer.set_module_name(path, config);
  }
  quantizer.set_filter(
      [region = quantized_region(graph_), fused = fused_](const Graph& graph, const Node& node) {
        const bool joins = node.op == "batch_norm" || node.op == "relu" || node.op == "relu6";
        return region.contains(node.id) && (!joins || is_fused(graph, node, fused));
      });
  const bool training = is_training();
  prepared_ = qat::prepare_qat(graph_, quantizer);
  runs_ = std::make_shared<nn::GraphModule>(prepared_.graph);
  runs_->train(training);
  step_ = Step::prepared;
}

void fuse_modules(EagerModel& model, const ModuleLists& lists) {
  model.require_mode(false, "fuse_modules", "call eval() first, or fuse_modules_qat for training");
  model.fuse(lists, "fuse_modules");
}

void fuse_modules_qat(EagerModel& model, const ModuleLists& lists) {
  model.require_mode(true, "fuse_modules_qat",
                     "call train() first, or fuse_modules for quantization without training");
  model.fuse(lists, "fuse_modules_qat");
  model.fused_for_training_ = true;
}

void fuse_modules_for(EagerModel& model, const ModuleLists& lists, std::optional<bool> is_qat) {
  if (is_qat.value_or(model.is_training()))
    fuse_modules_qat(model, lists);
  else
    fuse_modules(model, lists);
}

void prepare(EagerModel& model) {
  model.require_mode(false, "prepare", "call eval() first, or prepare_qat for training");
  model.prepare_graph("prepare");
  enable_fake_quant(*model.runs_, false);
  // Quantizers observe in training mode only.
  for (auto& [path, module] : model.runs_->named_modules())
    if (auto* quantizer = dynamic_cast<Quantizer*>(module)) quantizer->train();
}

void prepare_qat(EagerModel& model) {
  model.require_mode(true, "prepare_qat",
                     "call train() first, or prepare for quantization without training");
  model.prepare_graph("prepare_qat");
}

void convert(EagerModel& model) {
  model.require(EagerModel::Step::prepared, "convert");
  model.require_mode(false, "convert", "call eval() first");
  enable_fake_quant(*model.runs_, true);
  model.runs_->eval();
  model.runs_ = std::make_shared<nn::GraphModule>(convert_qdq(model.prepared_.graph));
  model.runs_->eval();
  model.step_ = EagerModel::Step::converted;
}

void quantize(EagerModel& model, const std::function<void(EagerModel&)>& run) {
  model.eval();
  prepare(model);
  run(model);
  convert(model);
}

void quantize_qat(EagerModel& model, const std::function<void(EagerModel&)>& run) {
  model.train();
  prepare_qat(model);
  run(model);
  model.eval();
  convert(model);
}

}  // namespace stair::qat
