#include "qat/ptq/bias_correction.h"

#include <set>

#include "qat/conv_bn.h"

namespace stair::qat {
namespace {

using autograd::Variable;
using nn::Node;

// Adds delta[c] to the values of channel c.
void shift_channels(const Tensor& x, const std::vector<double>& delta) {
  const int64_t channels = static_cast<int64_t>(delta.size()), rows = x.numel() / channels;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < channels; ++c)
      x.data<float>()[r * channels + c] += static_cast<float>(delta[static_cast<size_t>(c)]);
}

}  // namespace

int correct_biases(nn::GraphModule& quantized, nn::GraphModule& reference, const Batches& batches) {
  const autograd::NoGrad no_grad;
  quantized.eval();
  reference.eval();
  std::map<std::string, std::vector<double>> wanted;
  std::set<std::string> corrected;
  double seen = 0;
  reference.set_observer([&](const Node& node, const Variable& value) {
    if (node.op == "conv2d" || node.op == "linear")
      wanted[node.path] = channel_means(value.value());
  });
  quantized.set_observer([&](const Node& node, const Variable& value) {
    const auto found = wanted.find(node.path);
    if (!dynamic_cast<const QatConv*>(node.module.get()) || found == wanted.end() ||
        node.inputs[2] < 0)
      return;
    std::vector<double> delta = channel_means(value.value());
    for (size_t c = 0; c < delta.size(); ++c) delta[c] = (found->second[c] - delta[c]) / seen;
    shift_channels(quantized.graph().node(node.inputs[2]).variable.value(), delta);
    shift_channels(value.value(), delta);
    corrected.insert(node.path);
  });
  batches([&](const Tensor& pictures) {
    ++seen;
    (void)reference(Variable(pictures));
    (void)quantized(Variable(pictures));
  });
  reference.set_observer({});
  quantized.set_observer({});
  return static_cast<int>(corrected.size());
}

}  // namespace stair::qat
