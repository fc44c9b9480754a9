#include "qat/weighted_layers.h"

namespace stair::qat {

std::vector<WeightedLayer> weighted_layers(const nn::GraphModule& model, int most_bits) {
  std::vector<WeightedLayer> found;
  for (const nn::Node& node : model.graph().nodes()) {
    auto* conv = dynamic_cast<QatConv*>(node.module.get());
    if (!conv || conv->weight_quantizer().spec().bits > most_bits) continue;
    std::vector<Variable> inputs(node.inputs.size());
    for (size_t i = 1; i < inputs.size(); ++i)
      if (node.inputs[i] >= 0) inputs[i] = model.graph().node(node.inputs[i]).variable;
    found.push_back({node.name, conv, std::move(inputs)});
  }
  return found;
}

Tensor deployed_weight(QatConv& conv, std::span<const Variable> inputs) {
  const autograd::NoGrad no_grad;
  const bool training = conv.is_training();
  conv.eval();
  const Tensor w = conv.folded(inputs).weight.value();
  conv.train(training);
  return w;
}

}  // namespace stair::qat
