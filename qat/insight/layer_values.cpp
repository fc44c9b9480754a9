#include "qat/insight/layer_values.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <tuple>

#include "autograd/ops/dequantize.h"
#include "autograd/ops/quantize.h"
#include "qat/int8/float_node.h"
#include "qat/ptq/layers.h"
#include "qat/weighted_layers.h"

namespace stair::qat {
namespace {

// A node as both kinds of graphs have it.
struct Link {
  int id;
  std::string name;
  bool follows;  // belongs to the layer before when it is its only reader
  std::vector<int> inputs;
};

bool follows(const std::string& op) {
  constexpr std::array kFollowing = {"batch_norm", "relu", "relu6", "dropout", "quant_stub"};
  return std::any_of(kFollowing.begin(), kFollowing.end(), [&](const char* o) { return op == o; });
}

// The last node of every layer, and the layer's name. Of equal names the later ones get an index.
std::map<int, std::string> layer_ends(const std::vector<Link>& links) {
  std::map<int, std::vector<const Link*>> readers;
  for (const Link& link : links)
    for (int input : link.inputs) readers[input].push_back(&link);
  std::map<int, std::string> ends;
  std::map<std::string, int> seen;
  std::map<int, bool> inside;
  for (const Link& link : links) {
    if (inside[link.id]) continue;
    int end = link.id;
    while (readers[end].size() == 1 && readers[end][0]->follows) {
      end = readers[end][0]->id;
      inside[end] = true;
    }
    const int again = seen[link.name]++;
    ends[end] = again == 0 ? link.name : str(link.name, "_", again);
  }
  return ends;
}

bool has_weights(const std::string& op) {
  return op == "conv2d" || op == "linear";
}

std::string layer_name(const nn::Node& node) {
  return has_weights(node.op) && !node.path.empty() ? node.path : node.name;
}

std::map<int, std::string> layer_ends(const nn::Graph& graph) {
  std::vector<Link> links;
  for (const nn::Node& node : graph.nodes()) {
    if (node.is_state() || node.op == "dequantize") continue;
    const bool quantizer = dynamic_cast<const Quantizer*>(node.module.get()) != nullptr;
    Link link{node.id, layer_name(node), quantizer || follows(node.op), {}};
    for (int input : node.inputs)
      if (input >= 0 && !graph.node(input).is_state()) link.inputs.push_back(input);
    links.push_back(std::move(link));
  }
  return layer_ends(links);
}

const std::string& operation_of(const Int8Node& node) {
  return node.op == "float" ? node.attributes.get<std::string>("operation") : node.op;
}

// A layer that stayed float is called by its operation, "conv1.conv2d".
std::string layer_name(const Int8Node& node) {
  const std::string suffix = "." + operation_of(node);
  const bool cut = node.op == "float" && has_weights(operation_of(node)) &&
                   node.name.ends_with(suffix) && node.name.size() > suffix.size();
  return cut ? node.name.substr(0, node.name.size() - suffix.size()) : node.name;
}

std::map<int, std::string> layer_ends(const Int8Graph& graph) {
  std::vector<Link> links;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Int8Node& node = graph.nodes[i];
    links.push_back({static_cast<int>(i), layer_name(node),
                     node.op == "quantize" || follows(operation_of(node)), node.inputs});
  }
  return layer_ends(links);
}

Tensor coded_weight(const Int8Node& node) {
  const Tensor& s = node.weight_scale;
  const int half = 1 << (node.weight_bits() - 1);
  QParams p{
      {s.data<float>(), s.data<float>() + s.numel()}, {}, s.numel() > 1 ? 0 : -1, -half, half - 1};
  p.zero_point.assign(p.scale.size(), 0);
  return node.weight_codes().with_qparams(p);
}

// The input of a float node that is a tensor of its own.
const float* own_tensor(const Int8Node& node, size_t input) {
  const int64_t source = node.attributes.get<std::vector<int64_t>>("sources").at(input);
  return source > FloatSource::kFirstTensor
             ? nullptr
             : node.tensors.at(static_cast<size_t>(FloatSource::kFirstTensor - source))
                   .data<float>();
}

// Of a float layer, times gamma / sqrt(var + eps) of a batch norm that alone reads it.
Tensor folded_weight(const Int8Graph& graph, int layer) {
  const Tensor weight = graph.nodes[static_cast<size_t>(layer)].tensors.at(0).clone();
  const Int8Node* norm = nullptr;
  int readers = 0;
  for (const Int8Node& node : graph.nodes)
    if (std::ranges::find(node.inputs, layer) != node.inputs.end()) {
      ++readers;
      norm = operation_of(node) == "batch_norm" ? &node : nullptr;
    }
  if (readers != 1 || !norm) return weight;
  const float *gamma = own_tensor(*norm, 1), *var = own_tensor(*norm, 4);
  const double eps = norm->attributes.get<double>("eps");
  const int64_t inner = weight.numel() / weight.size(0);
  for (int64_t i = 0; i < weight.numel(); ++i) {
    const double factor = (gamma ? gamma[i / inner] : 1.0) / std::sqrt(var[i / inner] + eps);
    weight.data<float>()[i] = static_cast<float>(weight.data<float>()[i] * factor);
  }
  return weight;
}

// Codes with the limits that the deployed form has.
Tensor with_limits(const nn::Node& node, const Tensor& value) {
  const auto* quantizer = dynamic_cast<const Quantizer*>(node.module.get());
  if (!quantizer || !value.quantized() || quantizer->spec().is_dynamic) return value;
  QParams p = value.qparams();
  std::tie(p.qmin, p.qmax) = quantizer->code_range();
  return value.with_qparams(p);
}

}  // namespace

void for_layer_values(nn::GraphModule& model, const Tensor& x,
                      const std::function<void(const LayerValue&)>& visit) {
  const std::map<int, std::string> ends = layer_ends(model.graph());
  const autograd::NoGrad no_grad;
  const bool training = model.is_training();
  model.eval();
  model.set_observer([&](const nn::Node& node, const autograd::Variable& value) {
    if (const auto end = ends.find(node.id); end != ends.end())
      visit({end->second, with_limits(node, value.value())});
  });
  (void)model(autograd::Variable(x));
  model.set_observer({});
  model.train(training);
}

std::vector<LayerValue> layer_values(nn::GraphModule& model, const Tensor& x) {
  std::vector<LayerValue> values;
  for_layer_values(model, x, [&](const LayerValue& value) { values.push_back(value); });
  return values;
}

std::vector<LayerValue> layer_values(Int8Session& session, const Tensor& x) {
  const Int8Graph& graph = session.graph();
  const std::map<int, std::string> ends = layer_ends(graph);
  std::vector<LayerValue> values;
  if (const auto input = ends.find(0); input != ends.end()) values.push_back({input->second, x});
  session.node_values(x, [&](const Int8Node& node, const Tensor& value) {
    const auto end = ends.find(static_cast<int>(&node - graph.nodes.data()));
    if (end != ends.end()) values.push_back({end->second, value});
  });
  return values;
}

std::vector<LayerValue> shadow_values(Int8Session& session, const Tensor& x,
                                      const std::vector<LayerValue>& reference) {
  const Int8Graph& graph = session.graph();
  const std::map<int, std::string> ends = layer_ends(graph);
  const auto end_of = [&](const Int8Node& node) {
    return ends.find(static_cast<int>(&node - graph.nodes.data()));
  };
  const autograd::NoGrad no_grad;
  std::vector<LayerValue> values;
  session.node_values(
      x,
      [&](const Int8Node& node, const Tensor& value) {
        if (const auto end = end_of(node); end != ends.end())
          values.push_back({end->second, value});
      },
      [&](const Int8Node& node, const Tensor& value) {
        const auto end = end_of(node);
        if (end == ends.end()) return Tensor();
        const auto other = std::ranges::find(reference, end->second, &LayerValue::name);
        if (other == reference.end() || other->value.numel() != value.numel()) return Tensor();
        const Tensor reals =
            autograd::dequantize(autograd::Variable(other->value)).value().reshape(value.shape());
        if (node.format.real) return reals;
        return autograd::quantize(autograd::Variable(reals), qparams_of(node.format), value.dtype())
            .value();
      });
  return values;
}

std::vector<LayerValue> layer_weights(const nn::GraphModule& model) {
  std::vector<LayerValue> weights;
  for (const WeightedLayer& layer : weighted_layers(model))
    weights.push_back({layer.name, deployed_weight(*layer.conv, layer.inputs)});
  const nn::Graph folded = fold_batch_norm(model.graph());
  for (const int id : weighted_nodes(folded)) {
    const nn::Node& node = folded.node(id);
    weights.push_back({layer_name(node), folded.node(node.inputs[1]).variable.value()});
  }
  return weights;
}

std::vector<LayerValue> layer_weights(const Int8Graph& graph) {
  std::vector<LayerValue> weights;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Int8Node& node = graph.nodes[i];
    if (node.weight.defined())
      weights.push_back({layer_name(node), coded_weight(node)});
    else if (node.op == "float" && has_weights(operation_of(node)))
      weights.push_back({layer_name(node), folded_weight(graph, static_cast<int>(i))});
  }
  return weights;
}

}  // namespace stair::qat
