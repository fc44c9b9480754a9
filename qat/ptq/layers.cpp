#include "qat/ptq/layers.h"

#include <algorithm>
#include <cmath>

#include "autograd/operands.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;

// Value of a batch norm's input, `otherwise` where it has none.
double value_of(const Graph& graph, int id, int64_t c, double otherwise) {
  return id < 0 ? otherwise : graph.node(id).variable.value().data<float>()[c];
}

// "layer.weight" -> "layer.bias".
std::string bias_name(const std::string& weight) {
  const std::string suffix = "weight";
  return weight.ends_with(suffix) ? weight.substr(0, weight.size() - suffix.size()) + "bias"
                                  : weight + ".bias";
}

int add_bias(Graph& graph, int conv, Tensor values) {
  Node made;
  made.op = "parameter";
  made.name = bias_name(graph.node(graph.node(conv).inputs[1]).name);
  made.shape = values.shape();
  made.variable = autograd::Variable(std::move(values), true);
  return graph.insert_before(conv, made);
}

void fold(Graph& graph, int conv, int norm) {
  const Node bn = graph.node(norm);
  const int weight_id = graph.node(conv).inputs[1];
  const int bias_id = graph.node(conv).inputs.size() > 2 ? graph.node(conv).inputs[2] : -1;
  const double eps = bn.attributes.get<double>("eps");
  Tensor w = graph.node(weight_id).variable.value().clone();
  const int64_t outputs = w.size(0), inner = w.numel() / outputs;
  Tensor b = Tensor::empty({outputs}, DType::f32);
  for (int64_t o = 0; o < outputs; ++o) {
    const double deviation = std::sqrt(value_of(graph, bn.inputs[4], o, 1) + eps);
    const double f = value_of(graph, bn.inputs[1], o, 1) / deviation;
    for (int64_t i = o * inner; i < (o + 1) * inner; ++i)
      w.data<float>()[i] = static_cast<float>(w.data<float>()[i] * f);
    const double shift = value_of(graph, bias_id, o, 0) - value_of(graph, bn.inputs[3], o, 0);
    b.data<float>()[o] = static_cast<float>(shift * f + value_of(graph, bn.inputs[2], o, 0));
  }
  graph.node(weight_id).variable = autograd::Variable(std::move(w), true);
  if (bias_id >= 0) {
    graph.node(bias_id).variable = autograd::Variable(std::move(b), true);
  } else {
    const int made = add_bias(graph, conv, std::move(b));
    Node& node = graph.node(conv);
    node.inputs.resize(3);
    node.inputs[2] = made;
  }
  graph.replace_uses(norm, conv);
  graph.erase(norm);
}

}  // namespace

std::vector<int> weighted_nodes(const Graph& graph) {
  std::vector<int> ids;
  for (const Node& node : graph.nodes())
    if (node.op == "conv2d" || node.op == "linear") ids.push_back(node.id);
  return ids;
}

int only_reader(const Graph& graph, int id) {
  const std::vector<int> users = graph.users_of(id);
  if (users.size() != 1 || id == graph.output()) return -1;
  return graph.node(users[0]).inputs[0] == id ? users[0] : -1;
}

WeightView weights_of(Graph& graph, int id) {
  const Node& node = graph.node(id);
  const Tensor& w = graph.node(node.inputs[1]).variable.value();
  const int rank = w.shape().rank();
  const int64_t outputs = w.size(0), inputs = w.size(rank - 1);
  const int64_t groups = node.op == "conv2d" ? node.attributes.get<int64_t>("groups") : 1;
  return {w.data<float>(), outputs, w.numel() / outputs / inputs, inputs, groups};
}

Tensor bias_of(Graph& graph, int id) {
  const Node& node = graph.node(id);
  if (node.inputs.size() < 3 || node.inputs[2] < 0) return Tensor();
  return graph.node(node.inputs[2]).variable.value();
}

Graph fold_batch_norm(const Graph& graph) {
  Graph folded = graph.deep_copy();
  for (int conv : weighted_nodes(folded)) {
    const int norm = only_reader(folded, conv);
    if (norm < 0 || folded.node(norm).op != "batch_norm" || folded.node(conv).op != "conv2d")
      continue;
    if (folded.users_of(folded.node(conv).inputs[1]).size() == 1) fold(folded, conv, norm);
  }
  folded.erase_dead();
  folded.check();
  return folded;
}

void Moments::add(const Tensor& x) {
  const int64_t channels = x.size(x.shape().rank() - 1), count = x.numel() / channels;
  rows += static_cast<double>(count);
  sum.resize(static_cast<size_t>(channels));
  squares.resize(static_cast<size_t>(channels));
  for (int64_t r = 0; r < count; ++r)
    for (int64_t c = 0; c < channels; ++c) {
      const double v = x.data<float>()[r * channels + c];
      sum[static_cast<size_t>(c)] += v;
      squares[static_cast<size_t>(c)] += v * v;
    }
}

double Moments::variance(size_t c) const {
  return std::max(0.0, squares[c] / rows - mean(c) * mean(c));
}

std::vector<double> channel_means(const Tensor& x) {
  Moments moments;
  moments.add(x);
  std::vector<double> means;
  for (size_t c = 0; c < moments.sum.size(); ++c) means.push_back(moments.mean(c));
  return means;
}

}  // namespace stair::qat
