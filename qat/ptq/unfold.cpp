#include "qat/ptq/unfold.h"

#include <algorithm>
#include <cmath>

#include "core/text.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;

// By the name of the layer with weights, of its outputs.
std::map<std::string, Moments> output_moments(const Graph& graph, const Batches& batches) {
  std::map<std::string, Moments> moments;
  nn::GraphModule model(graph);
  model.eval();
  model.set_observer([&](const Node& node, const autograd::Variable& value) {
    if (node.op == "conv2d") moments[node.name].add(value.value());
  });
  const autograd::NoGrad no_grad;
  batches([&](const Tensor& pictures) { (void)model(autograd::Variable(pictures)); });
  return moments;
}

float* values_of(const Graph& graph, int id) {
  return graph.node(id).variable.value().data<float>();
}

void copy_values(const Graph& from, int source, const Graph& to, int target) {
  const Tensor& x = from.node(source).variable.value();
  std::copy_n(x.data<float>(), x.numel(), values_of(to, target));
}

// y = x + bias as (x - mean) / sqrt(variance + eps) * gain + offset.
void write_norm(const Graph& model, const Node& norm, const float* bias, const Moments& m) {
  if (norm.inputs[1] < 0 || norm.inputs[2] < 0)
    throw ConfigError(str("unfold_batch_norm: '", norm.name, "' has no gain and offset"));
  const double eps = norm.attributes.get<double>("eps");
  for (size_t c = 0; c < m.sum.size(); ++c) {
    values_of(model, norm.inputs[1])[c] = static_cast<float>(std::sqrt(m.variance(c) + eps));
    values_of(model, norm.inputs[2])[c] = static_cast<float>(m.mean(c));
    values_of(model, norm.inputs[3])[c] = static_cast<float>(m.mean(c) - bias[c]);
    values_of(model, norm.inputs[4])[c] = static_cast<float>(m.variance(c));
  }
}

}  // namespace

void unfold_batch_norm(const Graph& folded, nn::GraphModule& model, const Batches& batches) {
  const Graph& graph = model.graph();
  const std::map<std::string, Moments> moments = output_moments(folded, batches);
  for (int id : weighted_nodes(graph)) {
    const Node &layer = graph.node(id), &source = *folded.find(layer.name);
    copy_values(folded, source.inputs[1], graph, layer.inputs[1]);
    const bool has_bias = layer.inputs.size() > 2 && layer.inputs[2] >= 0;
    const int reader = only_reader(graph, id);
    if (reader >= 0 && graph.node(reader).op == "batch_norm" &&
        folded.find(graph.node(reader).name) == nullptr) {
      const float* bias = values_of(folded, source.inputs[2]);
      if (has_bias) std::fill_n(values_of(graph, layer.inputs[2]), layer.shape.dims().back(), 0.0F);
      write_norm(graph, graph.node(reader), bias, moments.at(layer.name));
    } else if (has_bias) {
      copy_values(folded, source.inputs[2], graph, layer.inputs[2]);
    }
  }
}

}  // namespace stair::qat
