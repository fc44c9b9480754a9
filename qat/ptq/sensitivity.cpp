#include "qat/ptq/sensitivity.h"

#include <algorithm>
#include <cmath>

#include "qat/prepare.h"
#include "qat/weighted_layers.h"

namespace stair::qat {
namespace {

// The quantizers that make a layer.
struct Switches {
  std::string layer;
  Quantizer* weight;
  Quantizer* input;       // null: the layer reads real numbers
  bool reads_picture;     // the input is that of the network
  Shape weights, result;  // of the layer
};

// The quantizer that makes the codes a value consists of.
const nn::Node* maker_of(const nn::Graph& graph, int id) {
  const nn::Node* node = &graph.node(id);
  while (node->op != "input" && !dynamic_cast<const Quantizer*>(node->module.get())) {
    if (node->module || node->inputs.size() != 1) return nullptr;
    node = &graph.node(node->inputs[0]);
  }
  return node->op == "input" ? nullptr : node;
}

std::vector<Switches> switches_of(const nn::GraphModule& model) {
  std::vector<Switches> all;
  for (const WeightedLayer& layer : weighted_layers(model)) {
    const nn::Graph& graph = model.graph();
    const nn::Node& node = *graph.find(layer.name);
    Switches s{layer.name, &layer.conv->weight_quantizer(), nullptr,
               false,      layer.inputs[1].shape(),         node.shape};
    if (const nn::Node* maker = maker_of(graph, node.inputs[0])) {
      s.input = dynamic_cast<Quantizer*>(maker->module.get());
      s.reads_picture = graph.node(maker->inputs[0]).op == "input";
    }
    all.push_back(s);
  }
  return all;
}

void set(nn::GraphModule& model, const Switches& s, Alone alone) {
  const bool but_one = alone == Alone::all_but_one;
  enable_fake_quant(model, but_one);
  s.weight->enable_fake_quant(!but_one);
  if (s.input && (but_one ? s.reads_picture : alone == Alone::layer))
    s.input->enable_fake_quant(!but_one);
}

struct Sums {
  double noise = 0, signal = 0, same = 0, pictures = 0;

  void add(const Tensor& y, const Tensor& real) {
    const int64_t n = y.size(0), inner = y.numel() / n;
    for (int64_t i = 0; i < n; ++i) {
      const float *a = real.data<float>() + i * inner, *b = y.data<float>() + i * inner;
      for (int64_t k = 0; k < inner; ++k) {
        const double d = static_cast<double>(b[k]) - a[k];
        signal += static_cast<double>(a[k]) * a[k];
        noise += d * d;
      }
      same += std::max_element(a, a + inner) - a == std::max_element(b, b + inner) - b;
    }
    pictures += static_cast<double>(n);
  }
};

// Each place of the result takes all weights of its channel.
int64_t macs_of(const Switches& s) {
  int64_t places = 1;
  for (int d = 1; d + 1 < s.result.rank(); ++d) places *= s.result[d];
  return places * s.weights.numel();
}

Tensor output(nn::GraphModule& model, const Tensor& pictures) {
  return model(autograd::Variable(pictures)).value();
}

}  // namespace

double LayerSensitivity::sqnr() const {
  return -10 * std::log10(noise);
}

std::vector<LayerSensitivity> sensitivities(nn::GraphModule& prepared, const Batches& batches,
                                            Alone alone) {
  const std::vector<Switches> layers = switches_of(prepared);
  std::vector<Sums> sums(layers.size());
  const autograd::NoGrad no_grad;
  prepared.eval();
  batches([&](const Tensor& pictures) {
    enable_fake_quant(prepared, false);
    const Tensor real = output(prepared, pictures);
    for (size_t i = 0; i < layers.size(); ++i) {
      set(prepared, layers[i], alone);
      sums[i].add(output(prepared, pictures), real);
    }
  });
  enable_fake_quant(prepared, true);
  std::vector<LayerSensitivity> found;
  for (size_t i = 0; i < layers.size(); ++i)
    found.push_back({layers[i].layer, sums[i].noise / sums[i].signal,
                     sums[i].same / sums[i].pictures, layers[i].weights.numel(),
                     layers[i].weights[0], macs_of(layers[i]),
                     layers[i].input ? layers[i].input->spec().bits : 32});
  return found;
}

}  // namespace stair::qat
