// Finding a pattern in a graph: how quantizers of users recognise what they annotate.
#pragma once

#include <map>

#include "nn/graph/graph.h"

namespace stair::qat {

struct SubgraphMatch {
  // From the names of the pattern's nodes to ids in the graph. Throws ConfigError when the pattern
  // has no node of that name.
  int at(const std::string& name) const;
  std::map<std::string, int> name_node_map;
};

// The places of `graph` where `pattern` occurs, in order, none inside another. The pattern is a
// captured graph, so that it looks as the model does: its input, parameters and buffers stand for
// any value, its other nodes for operations of the same name and the same inputs, whatever their
// attributes. Values that the pattern makes on the way have no readers outside of it; inputs may
// have any.
std::vector<SubgraphMatch> match_subgraph(const nn::Graph& graph, const nn::Graph& pattern);

}  // namespace stair::qat
