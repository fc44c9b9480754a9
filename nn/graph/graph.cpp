#include "nn/graph/graph.h"

#include <algorithm>
#include <map>
#include <set>

namespace stair::nn {
namespace {

std::string describe(const Node& node) {
  return str("node ", node.id, " '", node.name, "'");
}

}  // namespace

Graph::Place Graph::place_of(int id) {
  const Place place =
      std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& n) { return n.id == id; });
  if (place == nodes_.end()) throw ConfigError(str("graph: there is no node ", id));
  return place;
}

Node& Graph::node(int id) {
  return *place_of(id);
}
const Node& Graph::node(int id) const {
  return *const_cast<Graph*>(this)->place_of(id);
}

const Node* Graph::find(const std::string& name) const {
  const auto it =
      std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& n) { return n.name == name; });
  return it == nodes_.end() ? nullptr : &*it;
}

void Graph::set_output(int id) {
  node(id);
  output_ = id;
}

std::string Graph::free_name(const std::string& base) const {
  if (find(base) == nullptr) return base;
  for (int i = 1;; ++i)
    if (std::string name = str(base, "_", i); find(name) == nullptr) return name;
}

int Graph::insert(Place before, Node node) {
  if (node.op == "input" && input_ >= 0) throw ConfigError("graph: there is an input already");
  if (node.name.empty()) node.name = node.op;
  std::set<int> earlier;
  for (Place it = nodes_.begin(); it != before; ++it) earlier.insert(it->id);
  for (int input : node.inputs)
    if (input != -1 && !earlier.contains(input))
      throw ConfigError(str("graph: '", node.name, "' takes node ", input,
                            ", which does not stand before its place"));
  node.name = free_name(node.name);
  node.id = next_id_++;
  if (node.op == "input") input_ = node.id;
  return nodes_.insert(before, std::move(node))->id;
}

int Graph::append(Node node) {
  return insert(nodes_.end(), std::move(node));
}
int Graph::insert_before(int place, Node node) {
  return insert(place_of(place), std::move(node));
}
int Graph::insert_after(int place, Node node) {
  return insert(std::next(place_of(place)), std::move(node));
}

std::vector<int> Graph::users_of(int id) const {
  std::vector<int> users;
  for (const Node& node : nodes_)
    if (std::find(node.inputs.begin(), node.inputs.end(), id) != node.inputs.end())
      users.push_back(node.id);
  return users;
}

void Graph::replace_uses(int from, int to, int except) {
  bool reached = false;
  node(from), node(to);
  for (const Node& node : nodes_) {
    reached = reached || node.id == to;
    const bool uses = std::find(node.inputs.begin(), node.inputs.end(), from) != node.inputs.end();
    if (uses && node.id != except && (!reached || node.id == to))
      throw ConfigError(str("graph: ", describe(node), " would take ", describe(this->node(to)),
                            ", which does not stand before it"));
  }
  for (Node& node : nodes_)
    if (node.id != except) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  if (output_ == from) output_ = to;
}

void Graph::erase(int id) {
  const Place place = place_of(id);
  if (id == input_ || id == output_)
    throw ConfigError(str("graph: ", describe(*place), " is the graph's input or output"));
  if (const std::vector<int> users = users_of(id); !users.empty())
    throw ConfigError(
        str("graph: ", describe(*place), " is used by ", describe(node(users.front()))));
  nodes_.erase(place);
}

int Graph::erase_dead() {
  std::set<int> live = {input_, output_};
  int count = 0;
  for (Place it = nodes_.end(); it != nodes_.begin();) {
    --it;
    if (live.contains(it->id)) {
      live.insert(it->inputs.begin(), it->inputs.end());
    } else {
      it = nodes_.erase(it);
      ++count;
    }
  }
  return count;
}

Graph Graph::deep_copy() const {
  Graph copy = *this;
  std::map<const void*, Variable> variables;
  std::map<const Module*, std::shared_ptr<Module>> modules;
  for (Node& node : copy.nodes_) {
    if (node.variable.defined()) {
      Variable& own = variables[node.variable.id()];
      if (!own.defined())
        own = Variable(node.variable.value().clone(), node.variable.requires_grad());
      node.variable = own;
    }
    if (node.module) {
      std::shared_ptr<Module>& own = modules[node.module.get()];
      if (!own) own = node.module->clone();
      node.module = own;
    }
  }
  return copy;
}

void Graph::check() const {
  std::set<int> earlier = {-1};
  std::set<std::string> names;
  for (const Node& node : nodes_) {
    for (int input : node.inputs)
      if (!earlier.contains(input))
        throw ConfigError(str("graph: ", describe(node), " takes node ", input,
                              ", which does not stand before it"));
    if (!names.insert(node.name).second)
      throw ConfigError(str("graph: two nodes are called '", node.name, "'"));
    earlier.insert(node.id);
  }
  if (input_ < 0) throw ConfigError("graph: there is no input");
  if (output_ < 0 || !earlier.contains(output_)) throw ConfigError("graph: there is no output");
}

}  // namespace stair::nn
