// The layers with weights of a prepared network.
#pragma once

#include <string>
#include <vector>

#include "nn/graph/graph_module.h"
#include "qat/conv_bn.h"

namespace stair::qat {

struct WeightedLayer {
  std::string name;  // of its node
  QatConv* conv;
  std::vector<Variable> inputs;  // as forward_many takes them, without x
};

// Those whose weights have at most so many bits, in order.
std::vector<WeightedLayer> weighted_layers(const nn::GraphModule& model, int most_bits = 8);

// The weights that ship: codes with QParams; real numbers where fake-quant is off or the quantizer
// is simulated. No tape.
Tensor deployed_weight(QatConv& conv, std::span<const Variable> inputs);

}  // namespace stair::qat
