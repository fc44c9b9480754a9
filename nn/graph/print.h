// Graphs as text.
#pragma once

#include <functional>

#include "nn/graph/graph.h"

namespace stair::nn {

// What else to say about a node, such as its quantization; may be empty.
using Remark = std::function<std::string(const Node&)>;

// One line a node: "%12 layer1.0.add = add(%11, %5) : [N,32,32,16]", with attributes as key=value
// before the colon; an absent input is "-", the output is marked. Sizes that an input is held to
// follow its shape: "(batch in [1,64], 224, 224, 3)".
std::string to_text(const Graph& graph, const Remark& remark = {});
// The same in the language of Graphviz, parameters and buffers left out.
std::string to_dot(const Graph& graph, const Remark& remark = {});

}  // namespace stair::nn
