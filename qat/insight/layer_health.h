// How the quantizers of a network that trains fare, by layer.
#pragma once

#include <map>
#include <string>

#include "nn/graph/graph_module.h"

namespace stair::qat {

struct LayerHealth {
  // Shares of codes at the ends of their range (difference.h), of the pictures that were shown.
  double saturation = 0, weight_saturation = 0;
  // Float a step, of weights the geometric mean over channels; 0 where there are none.
  double scale = 0, weight_scale = 0;
};

// Of the deployed form, by the names of layer_values.h; layers without integers are left out.
std::map<std::string, LayerHealth> layer_health(nn::GraphModule& model, const Tensor& pictures);

}  // namespace stair::qat
