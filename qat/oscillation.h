// Oscillation of low-bit weights: codes that jump back and forth between two neighbours because
// the weight sits on their border. Nagel et al., "Overcoming oscillations in quantization-aware
// training", arXiv:2203.11086.
#pragma once

#include <map>
#include <span>

#include "core/safetensors.h"
#include "nn/graph/graph_module.h"
#include "qat/conv_bn.h"

namespace stair::qat {

// Follows the codes of all weights of at most 4 bits. Of a weight, o is 1 in a step in which its
// code changes in the other direction than at its last change, else 0; its frequency is
// f += 0.01 * (o - f), and the running mean of its code c += 0.01 * (code - c).
class OscillationTracker {
 public:
  explicit OscillationTracker(nn::GraphModule& model);

  // After an optimizer step. Weights whose frequency is above `threshold` are frozen at the code
  // rne(c) for good: from then on each step writes them back to it. 0: none is frozen.
  void step(double threshold);

  // Shares of the weights: frequency above 0.005, and frozen.
  double oscillating() const;
  double frozen() const;
  // The first of them by layer.
  std::map<std::string, double> oscillating_layers() const;

  // Everything, by the names of the layers; load_state throws FormatError when it does not fit.
  std::vector<NamedTensor> state() const;
  void load_state(std::span<const NamedTensor> state);

 private:
  struct Layer {
    std::string name;
    QatConv* conv;
    std::vector<Variable> inputs;
    Tensor code, direction, frozen;  // s8, as the weights: last code, last change, code or kFree
    Tensor frequency, mean;          // f32, as the weights
  };
  void follow(Layer& layer, double threshold);

  std::vector<Layer> layers_;
};

// Adds to the gradients of all weights below 8 bits those of lambda * sum of (w' - clip(w))^2, w'
// the quantized weight, taken as a constant: weights are drawn to the middle of their cells. The
// same paper, section 4.1.
void add_dampening_gradients(nn::GraphModule& model, double lambda);

}  // namespace stair::qat
