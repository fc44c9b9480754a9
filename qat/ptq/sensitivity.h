// How much each layer's integers cost the network.
#pragma once

#include <string>
#include <vector>

#include "qat/ptq/layers.h"

namespace stair::qat {

// Of all layers with weights, in which are on integers while the output is compared with that of
// the real numbers.
enum class Alone {
  weights,      // the weights of this layer alone
  layer,        // its weights and its input alone
  all_but_one,  // everything but its weights and, of the first layer, the network's input
};

struct LayerSensitivity {
  std::string layer;
  double noise;              // sum (y - y_float)^2 / sum y_float^2 of the network's output
  double agreement;          // share of the pictures whose largest output is the float network's
  int64_t weights, outputs;  // numbers of weights, and of channels that they belong to
  int64_t macs;              // multiplications with weights, a picture
  int input_bits;            // 32: real numbers
  double sqnr() const;       // dB
};

// Of each layer with weights, in order, of a calibrated network; its quantizers are on afterwards.
std::vector<LayerSensitivity> sensitivities(nn::GraphModule& prepared, const Batches& batches,
                                            Alone alone);

}  // namespace stair::qat
