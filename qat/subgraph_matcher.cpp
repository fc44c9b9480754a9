#include "qat/subgraph_matcher.h"

#include <set>

#include "core/text.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;

class Matcher {
 public:
  Matcher(const Graph& graph, const Graph& pattern) : graph_(graph), pattern_(pattern) {}

  bool match_at(int id) {
    bound_.clear();
    return bind(pattern_.output(), id) && no_outside_readers();
  }
  const std::map<int, int>& bound() const { return bound_; }

 private:
  bool bind(int of_pattern, int id) {
    if (of_pattern < 0 || id < 0) return of_pattern == id;
    if (const auto known = bound_.find(of_pattern); known != bound_.end())
      return known->second == id;
    const Node& wanted = pattern_.node(of_pattern);
    const Node& node = graph_.node(id);
    if (wanted.operation()) {
      if (wanted.op != node.op || wanted.inputs.size() != node.inputs.size()) return false;
      for (size_t i = 0; i < wanted.inputs.size(); ++i)
        if (!bind(wanted.inputs[i], node.inputs[i])) return false;
    }
    bound_[of_pattern] = id;
    return true;
  }

  bool no_outside_readers() const {
    std::set<int> inside;
    for (const auto& [of_pattern, id] : bound_)
      if (pattern_.node(of_pattern).operation()) inside.insert(id);
    for (const auto& [of_pattern, id] : bound_) {
      if (!pattern_.node(of_pattern).operation() || of_pattern == pattern_.output()) continue;
      if (id == graph_.output()) return false;
      for (int user : graph_.users_of(id))
        if (!inside.contains(user)) return false;
    }
    return true;
  }

  const Graph& graph_;
  const Graph& pattern_;
  std::map<int, int> bound_;  // from the pattern to the graph
};

}  // namespace

int SubgraphMatch::at(const std::string& name) const {
  const auto found = name_node_map.find(name);
  if (found != name_node_map.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, id] : name_node_map) names.push_back(known);
  throw ConfigError(str("subgraph match: the pattern has no node '", name, "'"),
                    "its nodes are " + join(names));
}

std::vector<SubgraphMatch> match_subgraph(const Graph& graph, const Graph& pattern) {
  std::vector<SubgraphMatch> matches;
  std::set<int> taken;
  Matcher matcher(graph, pattern);
  for (const Node& node : graph.nodes()) {
    if (!node.operation() || !matcher.match_at(node.id)) continue;
    SubgraphMatch match;
    bool free = true;
    for (const auto& [of_pattern, id] : matcher.bound()) {
      const Node& wanted = pattern.node(of_pattern);
      match.name_node_map[wanted.name] = id;
      free = free && !(wanted.operation() && taken.contains(id));
    }
    if (!free) continue;
    for (const auto& [of_pattern, id] : matcher.bound())
      if (pattern.node(of_pattern).operation()) taken.insert(id);
    matches.push_back(std::move(match));
  }
  return matches;
}

}  // namespace stair::qat
