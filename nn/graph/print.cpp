#include "nn/graph/print.h"

namespace stair::nn {
namespace {

std::string shape_text(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank(); ++i)
    text += str(i > 0 ? "," : "", shape[i] == kBatch ? "N" : str(shape[i]));
  return text + "]";
}

std::string shape_text(const Node& node) {
  std::string dims;
  for (const Dim& dim : node.dims) dims += str(dims.empty() ? "" : ", ", describe(dim));
  return shape_text(node.shape) + (dims.empty() ? "" : " (" + dims + ")");
}

std::string attributes_text(const Node& node) {
  std::string text;
  for (const auto& [key, value] : node.attributes) text += str(' ', key, '=', to_string(value));
  return text;
}

std::string remark_text(const Remark& remark, const Node& node) {
  const std::string text = remark ? remark(node) : "";
  return text.empty() ? "" : "  # " + text;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string to_text(const Graph& graph, const Remark& remark) {
  std::string text;
  for (const Node& node : graph.nodes()) {
    std::string inputs;
    for (int input : node.inputs)
      inputs += str(inputs.empty() ? "" : ", ", input < 0 ? "-" : str('%', input));
    text += str('%', node.id, ' ', node.name, " = ", node.op);
    if (node.operation()) text += str('(', inputs, ')');
    text += str(attributes_text(node), " : ", shape_text(node));
    text += str(node.id == graph.output() ? " -> output" : "", remark_text(remark, node), '\n');
  }
  return text;
}

std::string to_dot(const Graph& graph, const Remark& remark) {
  std::string text = "digraph model {\n  node [shape=box];\n";
  for (const Node& node : graph.nodes()) {
    if (node.is_state()) continue;
    const std::string label =
        str(node.name, attributes_text(node), ' ', shape_text(node), remark_text(remark, node));
    text += str("  n", node.id, " [label=\"", escaped(label), "\"];\n");
    for (int input : node.inputs)
      if (input >= 0 && !graph.node(input).is_state())
        text += str("  n", input, " -> n", node.id, ";\n");
  }
  return text + "}\n";
}

}  // namespace stair::nn
