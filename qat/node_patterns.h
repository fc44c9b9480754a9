// Which nodes a name of a configuration means.
#pragma once

#include <string>
#include <vector>

#include "nn/graph/graph.h"

namespace stair::qat {

// The names of all operations.
const std::vector<std::string>& operations();

// The operation that a type names: an operation of ours ("conv2d") or a module or function of torch
// ("Conv2d", "torch.nn.Conv2d", "torch.nn.functional.linear"). Throws ConfigError with the nearest
// name.
std::string object_type(const std::string& name);

// Whether the operation only moves or compares elements, so that integers pass through it as they
// are (through "concat" where all inputs have one scale).
bool moves_codes(const std::string& op);

// Whether the pattern means the node:
//   a module path       all below it, "layer1" also "layer1.0.conv1"; the empty path: all
//   the name of a node  "layer1.0.add"
//   a glob              with * and ?, of either: "layer*.conv?"
bool names_node(const std::string& pattern, const nn::Node& node);
// The same, where the pattern may also be a type.
bool selects_node(const std::string& pattern, const nn::Node& node);

// Throws ConfigError `<what>: ...` with the nearest name when the pattern means no operation of the
// graph; `types`: whether it may be a type.
void require_node(const nn::Graph& graph, const std::string& pattern, const std::string& what,
                  bool types = false);

}  // namespace stair::qat
