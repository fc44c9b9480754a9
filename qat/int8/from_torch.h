// The int8 graph of a network that torch quantized.
#pragma once

#include "nn/graph/graph.h"
#include "nn/weights.h"
#include "qat/int8/graph.h"

namespace stair::qat {

// `graph` is the captured float network, `weights` the state dict of its quantized form in torch's
// eager mode: names are those of the float modules, batch norms are folded, and
//   quant.scale, quant.zero_point            of the input
//   P.weight, P.bias, P.scale, P.zero_point  of the convolution or linear layer P (s8 weights)
//   P.scale, P.zero_point                    of the activation P, unless torch fixes them
//   P.NAME.scale, P.NAME.zero_point          of the additions, products and concatenations of
//                                            module P, in this order; P has no module NAME
// Activations are u8. A ReLU is fused into the operation before it; pooling keeps its input's
// scale. Weights, scales and zero points are the file's; biases stay float.
//
// Numerics: torch rounds sums scaled by one factor where this engine scales twice (numerics.md), so
// a code may differ from torch's by one step where the result lies near the middle between two.
//
// Throws FormatError naming the layer and what is missing, has another shape or is left over,
// ConfigError for an operation that has no such form.
Int8Graph int8_from_torch(const nn::Graph& graph, const nn::Weights& weights);

}  // namespace stair::qat
