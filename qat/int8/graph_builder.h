// An int8 graph that is made from the graph of a network, node by node.
#pragma once

#include <map>

#include "nn/graph/graph.h"
#include "qat/int8/graph.h"

namespace stair::qat {

class Int8GraphBuilder {
 protected:
  explicit Int8GraphBuilder(const nn::Graph& graph) : graph_(graph) {}

  // Index in the result of what yields node `id` of the network. Throws ConfigError naming
  // `reader`, a node that reads it, when there is nothing.
  int index(const nn::Node& reader, int id) const;
  std::vector<int> indices(const nn::Node& reader) const;
  Int8Node& at(int index) { return result_.nodes[static_cast<size_t>(index)]; }
  const Int8Node& at(int index) const { return result_.nodes[static_cast<size_t>(index)]; }

  // Appends the operation that yields `node` and has its name; from `inputs`, indices.
  Int8Node& add(const nn::Node& node, const std::string& op, std::vector<int> inputs);
  // One with the format of its only input.
  Int8Node& add_keeping_format(const nn::Node& node, const std::string& op);
  // Real numbers from codes.
  Int8Node& add_dequantize(const nn::Node& node, int input);

  const nn::Graph& graph_;
  Int8Graph result_;
  std::map<int, int> converted_;  // id in the network -> index in the result
};

}  // namespace stair::qat
