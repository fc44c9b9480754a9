// EagerModel as text, in torch's words.
#include <algorithm>
#include <cstdio>

#include "core/json.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/linear.h"
#include "nn/print_module.h"
#include "qat/eager/eager_model.h"
#include "qat/eager/stubs.h"

namespace stair::qat {
namespace {

// With the digits that Python shows.
std::string number(float value) {
  return Json(static_cast<double>(value)).dump();
}

// The quantizer that reads a node; null: none does.
const Quantizer* reader_of(const nn::Graph& graph, const nn::Node* node) {
  if (node == nullptr) return nullptr;
  for (const int user : graph.users_of(node->id))
    if (const auto* q = dynamic_cast<const Quantizer*>(graph.node(user).module.get())) return q;
  return nullptr;
}

}  // namespace

std::string EagerModel::fused_text(const std::vector<std::string>& list) const {
  const bool linear = dynamic_cast<const nn::Linear*>(find(list[0])) != nullptr;
  std::string name = linear ? "Linear" : "Conv", parts;
  int index = 0;
  for (const std::string& path : list) {
    const nn::Module& module = *find(path);
    std::string line = nn::to_text(module);
    const bool norm = line.starts_with("BatchNorm2d");
    if (norm && !fused_for_training_) continue;
    // Without training batch norm is a part of the convolution, whose bias it is.
    if (index == 0 && !fused_for_training_ && list.size() > 1 &&
        nn::to_text(*find(list[1])).starts_with("BatchNorm2d"))
      if (const size_t at = line.find(", bias=False"); at != std::string::npos) line.erase(at, 12);
    if (norm) name += "Bn";
    if (line.starts_with("ReLU")) name += "ReLU";
    parts += str("\n  (", index++, "): ", line);
  }
  if (!linear) name += "2d";
  return index == 1 ? parts.substr(8) : name + "(" + parts + "\n)";
}

std::string EagerModel::quantized_text(const std::string& path, const nn::Module& module) const {
  const nn::Graph& graph = prepared_.graph;
  const nn::Node* node = graph.find(path);
  if (node == nullptr || !dynamic_cast<const QatConv*>(node->module.get())) return "";
  const auto list =
      std::find_if(fused_.begin(), fused_.end(), [&](const auto& l) { return l[0] == path; });
  const bool relu = list != fused_.end() && nn::to_text(*find(list->back())).starts_with("ReLU");
  const bool linear = dynamic_cast<const nn::Conv2d*>(&module) == nullptr;
  std::string settings = nn::settings_text(module);
  for (const char* bias : {", bias=False", ", bias=True"})
    if (const size_t at = settings.find(bias); at != std::string::npos)
      settings.erase(at, std::string(bias).size());
  std::string text = str("Quantized", linear ? "Linear" : "Conv", relu ? "ReLU" : "",
                         linear ? "" : "2d", '(', settings);
  if (const Quantizer* quantizer = reader_of(graph, node)) {
    const QParams p = quantizer->qparams();
    text += str(", scale=", number(p.scale[0]), ", zero_point=", p.zero_point[0]);
    if (linear)
      text +=
          str(", qscheme=torch.per_tensor_", quantizer->spec().symmetric ? "symmetric" : "affine");
  }
  return text + ")";
}

std::optional<std::string> EagerModel::text_of(const std::string& path,
                                               const nn::Module& module) const {
  for (const auto& list : fused_) {
    if (path == list[0] && step_ != Step::converted) return fused_text(list);
    if (std::find(list.begin() + 1, list.end(), path) != list.end()) return "Identity()";
  }
  if (step_ != Step::converted) return std::nullopt;
  if (const std::string text = quantized_text(path, module); !text.empty()) return text;
  const nn::Graph& graph = prepared_.graph;
  if (dynamic_cast<const QuantStub*>(&module)) {
    const nn::Node* stub = graph.find(path + ".quant_stub");
    const auto* q =
        stub ? dynamic_cast<const Quantizer*>(graph.node(stub->inputs[0]).module.get()) : nullptr;
    if (q == nullptr) return std::nullopt;
    char scale[32];
    std::snprintf(scale, sizeof scale, "%.4f", static_cast<double>(q->qparams().scale[0]));
    return str("Quantize(scale=tensor([", scale, "]), zero_point=tensor([",
               q->qparams().zero_point[0], "]), dtype=torch.",
               q->spec().is_signed ? "qint8" : "quint8", ')');
  }
  if (dynamic_cast<const DeQuantStub*>(&module)) return "DeQuantize()";
  if (dynamic_cast<const FloatFunctional*>(&module))
    if (const Quantizer* q = reader_of(graph, graph.find(path + ".add")))
      return str("QFunctional(scale=", number(q->qparams().scale[0]),
                 ", zero_point=", q->qparams().zero_point[0], ')');
  return std::nullopt;
}

std::string EagerModel::to_text() const {
  return nn::to_text(*model_, [&](const std::string& path, const nn::Module& module) {
    return text_of(path, module);
  });
}

}  // namespace stair::qat
