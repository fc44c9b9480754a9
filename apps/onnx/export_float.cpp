#include <map>

#include "apps/onnx/export.h"
#include "apps/onnx/parts.h"
#include "core/text.h"

namespace stair::apps {
namespace {

using List = std::vector<int64_t>;
using nn::Node;

class FloatExport {
 public:
  FloatExport(const nn::Graph& graph, int64_t opset) : graph_(graph), model_(opset) {}

  std::string run(const Attributes& metadata, const std::vector<std::string>& class_names) {
    for (const Node& node : graph_.nodes()) visit(node);
    const Shape& shape = graph_.node(graph_.output()).shape;
    model_.set_output(names_.at(graph_.output()), "logits", channels_first(shape));
    add_facts(model_, metadata, class_names);
    return model_.bytes();
  }

 private:
  static List channels_first(const Shape& shape) {
    if (shape.rank() != 4) return shape.dims();
    return {shape[0], shape[3], shape[1], shape[2]};
  }
  const Shape& shape(const Node& node, size_t i = 0) const {
    return graph_.node(node.inputs[i]).shape;
  }
  const std::string& input(const Node& node, size_t i = 0) const {
    return names_.at(node.inputs[i]);
  }
  bool has(const Node& node, size_t i) const {
    return node.inputs.size() > i && node.inputs[i] >= 0;
  }
  const Tensor& tensor(const Node& node, size_t i) const {
    const Node& state = graph_.node(node.inputs[i]);
    if (!state.is_state())
      throw FormatError(
          str("ONNX: '", printable(node.name), "' computes its weights, which has no form here"));
    return state.variable.value();
  }
  std::string constant(const Node& node, size_t i, const char* what) {
    return model_.constant(node.name + what, tensor(node, i));
  }

  void add(const Node& node, const std::string& op, const std::vector<std::string>& inputs,
           const Attributes& attributes = {}) {
    names_[node.id] = model_.add(op, node.name, inputs, attributes);
  }

  void visit(const Node& node) {
    if (node.is_state()) return;
    if (node.op == "input") {
      names_[node.id] = model_.free_name("input");
      model_.set_input(names_[node.id], channels_first(node.shape));
    } else if (node.op == "conv2d") {
      convolve(node);
    } else if (node.op == "linear") {
      std::vector<std::string> inputs = {input(node), constant(node, 1, "_weight")};
      if (has(node, 2)) inputs.push_back(constant(node, 2, "_bias"));
      add(node, "Gemm", inputs, {{"transB", int64_t{1}}});
    } else if (node.op == "batch_norm") {
      normalize(node);
    } else if (node.op == "add" || node.op == "mul") {
      add(node, node.op == "add" ? "Add" : "Mul", {input(node), input(node, 1)});
    } else if (node.op == "max_pool2d" || node.op == "avg_pool2d") {
      pool(node);
    } else if (node.op == "global_avg_pool") {
      add(node, "GlobalAveragePool", {input(node)});
    } else if (node.op == "pad_channels") {
      const int64_t before = node.attributes.get<int64_t>("before"),
                    after = node.attributes.get<int64_t>("after");
      add(node, "Pad",
          {input(node),
           model_.constant(node.name + "_pads",
                           Tensor::from<int64_t>({0, before, 0, 0, 0, after, 0, 0}, {8}))});
    } else if (node.op == "concat") {
      concatenate(node);
    } else if (node.op == "flatten") {
      flatten(node);
    } else if (node.op == "dropout") {
      names_[node.id] = input(node);
    } else {
      apply_function(node);
    }
  }

  void convolve(const Node& node) {
    const Tensor& weight = tensor(node, 1);
    std::vector<std::string> inputs = {
        input(node), model_.constant(node.name + "_weight", apps::channels_first(weight))};
    if (has(node, 2)) inputs.push_back(constant(node, 2, "_bias"));
    add(node, "Conv", inputs, conv_attributes(node.attributes, weight.shape()));
  }

  void normalize(const Node& node) {
    for (size_t i = 1; i < 5; ++i)
      if (!has(node, i))
        throw FormatError(
            str("ONNX: '", printable(node.name), "' lacks a scale, shift or statistic"));
    add(node, "BatchNormalization",
        {input(node), constant(node, 1, "_weight"), constant(node, 2, "_bias"),
         constant(node, 3, "_mean"), constant(node, 4, "_var")},
        {{"epsilon", node.attributes.get<double>("eps")}});
  }

  void pool(const Node& node) {
    const bool max = node.op == "max_pool2d";
    add(node, max ? "MaxPool" : "AveragePool", {input(node)},
        max ? window_attributes(node.attributes) : average_attributes(node.attributes));
  }

  void concatenate(const Node& node) {
    const int64_t rank = shape(node).rank();
    const int64_t axis = (node.attributes.get<int64_t>("axis") + rank) % rank;
    std::vector<std::string> inputs;
    for (size_t i = 0; i < node.inputs.size(); ++i) inputs.push_back(input(node, i));
    add(node, "Concat", inputs, {{"axis", rank == 4 ? axis_channels_first(axis) : axis}});
  }

  void flatten(const Node& node) {
    const Shape& x = shape(node);
    std::string from = input(node);
    if (x.rank() == 4 && x[1] * x[2] > 1) from = add_channels_last(model_, node.name, from);
    add(node, "Flatten", {from}, {{"axis", int64_t{1}}});
  }

  void apply_function(const Node& node) {
    names_[node.id] = node.op == "module"
                          ? ""
                          : add_function(model_, node.op, node.attributes, input(node), node.name);
    if (names_[node.id].empty())
      throw FormatError(
          str("ONNX: node '", printable(node.name), "' (", node.op, ") has no ONNX form here"));
  }

  const nn::Graph& graph_;
  OnnxModel model_;
  std::map<int, std::string> names_;  // of the results, by node
};

}  // namespace

std::string to_onnx(const nn::Graph& graph, const Attributes& metadata,
                    const std::vector<std::string>& class_names, int64_t opset) {
  return FloatExport(graph, opset).run(metadata, class_names);
}

}  // namespace stair::apps
