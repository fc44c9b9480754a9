// From a model to its graph.
#pragma once

#include "nn/graph/graph.h"

namespace stair::nn {

// Runs the model once on `example` [N,...], in evaluation mode and without gradients, and returns
// what it did. The graph shares the model's parameters and buffers; the model's mode and buffers
// stay as they are. Every parameter and buffer that an operation uses becomes a node, first all of
// them in the order of the state dict, then input and operations. Nothing depends on N, unless the
// model itself writes it into an attribute. Frozen batch norm layers give nodes with the attribute
// "frozen".
//
// Throws ConfigError when an operation takes a value that is neither the input, a parameter, a
// buffer nor the result of another operation (such a value would silently be the same for every
// input), or when the result is no operation's.
Graph capture(Module& model, const Variable& example);

// The same, for inputs of certain sizes: dimensions with a Dim in its bounds, all others the
// example's. A GraphModule checks them in every forward. They stay with copies of the graph and
// what prepare makes of it; an int8 graph takes any size that its operations take. Throws besides
// what dims_of throws.
Graph capture(Module& model, const Variable& example, const DynamicShapes& dynamic);

}  // namespace stair::nn
