// What the layers of a network compute, under names that its float, trained and deployed forms
// share.
//
// A layer is an operation together with what follows it alone: batch norm, ReLU, ReLU6, dropout,
// quantization. Its value is what comes out at the end. Layers with weights are called by their
// module path, others by their node.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nn/graph/graph_module.h"
#include "qat/int8/session.h"

namespace stair::qat {

struct LayerValue {
  std::string name;
  Tensor value;  // f32, or codes with QParams whose limits are those of a fused ReLU
};

// For pictures x [N,H,W,C] f32, in order of execution; the network's input is the first. The model
// runs in evaluation mode, without a tape. It must not be observed.
std::vector<LayerValue> layer_values(nn::GraphModule& model, const Tensor& x);
// The same one by one, so that not all are kept.
void for_layer_values(nn::GraphModule& model, const Tensor& x,
                      const std::function<void(const LayerValue&)>& visit);
std::vector<LayerValue> layer_values(Int8Session& session, const Tensor& x);

// What each layer of `session` makes of the values that `reference`, those of another form of the
// network for the same pictures, has for the layers that it reads: the error of a layer alone,
// without that of the layers before it. Values are rounded to the codes that the layer reads.
// Layers that the reference has not pass their own value on. This is the Numeric Suite's comparison
// with shadow modules, seen from the quantized side.
std::vector<LayerValue> shadow_values(Int8Session& session, const Tensor& x,
                                      const std::vector<LayerValue>& reference);

// The weights as they ship, batch norm folded in: codes with QParams where the form has them.
std::vector<LayerValue> layer_weights(const nn::GraphModule& model);
std::vector<LayerValue> layer_weights(const Int8Graph& graph);

}  // namespace stair::qat
