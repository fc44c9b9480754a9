#include "qat/node_patterns.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "autograd/op.h"
#include "core/text.h"

namespace stair::qat {
namespace {

struct TorchType {
  const char* name;
  const char* op;
};
// Those whose operation has another name than the type in small letters.
constexpr TorchType kTorchTypes[] = {
    {"batchnorm2d", "batch_norm"},
    {"maxpool2d", "max_pool2d"},
    {"avgpool2d", "avg_pool2d"},
    {"adaptive_avg_pool2d", "global_avg_pool"},
    {"adaptiveavgpool2d", "global_avg_pool"},
    {"leakyrelu", "leaky_relu"},
    {"cat", "concat"},
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// The operation, or nothing.
std::string operation_of(const std::string& type) {
  const auto known = [](const std::string& op) {
    return std::find(operations().begin(), operations().end(), op) != operations().end();
  };
  if (known(type)) return type;
  const std::string last = lower(type.substr(type.rfind('.') + 1));
  for (const TorchType& torch : kTorchTypes)
    if (last == torch.name) return torch.op;
  return known(last) ? last : "";
}

bool glob(const char* pattern, const char* text) {
  if (*pattern == '*') return glob(pattern + 1, text) || (*text && glob(pattern, text + 1));
  if (*pattern == '\0') return *text == '\0';
  return *text && (*pattern == '?' || *pattern == *text) && glob(pattern + 1, text + 1);
}

}  // namespace

const std::vector<std::string>& operations() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
#define STAIR_OP_FILE(stem) names.emplace_back(#stem);
#include "op_files.inc"
#undef STAIR_OP_FILE
    return names;
  }();
  return kNames;
}

bool moves_codes(const std::string& op) {
  constexpr std::array kMoving = {"max_pool2d", "flatten",    "reshape", "pad_channels",
                                  "dropout",    "quant_stub", "concat"};
  return std::any_of(kMoving.begin(), kMoving.end(), [&](const char* o) { return op == o; });
}

std::string object_type(const std::string& name) {
  if (std::string op = operation_of(name); !op.empty()) return op;
  std::vector<std::string> names = operations();
  for (const char* torch : {"Conv2d", "Linear", "BatchNorm2d", "ReLU", "ReLU6", "Sigmoid"})
    names.emplace_back(torch);
  throw ConfigError(str("no operation or module type is called '", name, "'"),
                    did_you_mean(name, names));
}

bool names_node(const std::string& pattern, const nn::Node& node) {
  if (pattern.empty() || node.path == pattern || node.name == pattern) return true;
  if (pattern.find_first_of("*?") == std::string::npos) return node.path.starts_with(pattern + ".");
  return glob(pattern.c_str(), node.path.c_str()) || glob(pattern.c_str(), node.name.c_str());
}

bool selects_node(const std::string& pattern, const nn::Node& node) {
  return names_node(pattern, node) || operation_of(pattern) == node.op;
}

void require_node(const nn::Graph& graph, const std::string& pattern, const std::string& what,
                  bool types) {
  std::set<std::string> names;
  for (const nn::Node& node : graph.nodes()) {
    if (!node.operation()) continue;
    if (types ? selects_node(pattern, node) : names_node(pattern, node)) return;
    names.insert(node.name);
    if (types) names.insert(node.op);
    for (size_t end = 0; end != std::string::npos && !node.path.empty();) {
      end = node.path.find('.', end + 1);
      names.insert(node.path.substr(0, end));
    }
  }
  const std::vector<std::string> all(names.begin(), names.end());
  const std::string near = nearest(pattern, all);
  throw ConfigError(
      str(what, ": the model has no layer '", pattern, "'"),
      near.empty() ? str("layers are ", join(all, ", ", 8)) : str("did you mean '", near, "'?"));
}

}  // namespace stair::qat
