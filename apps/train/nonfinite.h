// Where a step that is not finite went wrong.
#pragma once

#include <string>

#include "nn/graph/graph_module.h"

namespace stair::apps {

// What is NaN or infinite first after a step on these pictures that was not applied: the value of a
// node, "layer1.0.conv1.conv2d", found by one forward pass in the model's own mode; else, of a
// layer whose quantizer hides it, "parameter 'fc.bias'"; else of the gradients there are the first
// that backward made, "gradient of 'fc.weight'"; else "the loss".
std::string first_nonfinite(nn::GraphModule& model, const Tensor& pictures);

}  // namespace stair::apps
