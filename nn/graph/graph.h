// The graph of a model: what `capture` records and every pass that rewrites models reads and edits.
//
// Nodes stand in topological order. Besides operations of the table autograd/op.h a node may be
//   "input"      the activation the model is called with; there is exactly one
//   "parameter"  a trained value  } `variable` holds it, `name` is its
//   "buffer"     a saved value    } path in the state dict
//   "module"     a call of `module` with the inputs
// A batch_norm node captured from a layer has the layer's num_batches_tracked buffer as its last
// input, after the inputs of the operation, so that the buffer lives as long as the node.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "nn/graph/dim.h"
#include "nn/module.h"

namespace stair::nn {

// Stands in Node::shape for the size of the batch.
inline constexpr int64_t kBatch = -1;

struct Node {
  int id = -1;
  std::string op;
  // Unique and stable from capture to capture: of an operation the path of the module that ran it,
  // its own name and, from the second of that name, an index: "layer1.0.relu.relu",
  // "layer1.0.relu.relu_1".
  std::string name;
  std::vector<int> inputs;  // ids; -1: an optional input that is absent
  Attributes attributes;
  std::shared_ptr<Module> module;  // of "module" nodes
  Variable variable;               // of "parameter" and "buffer" nodes
  std::string path;                // of operations: the path of the module that ran it
  Shape shape;                     // of the result, kBatch for the size of the batch
  std::vector<Dim> dims;           // of "input": the sizes allowed; empty: all

  bool is_state() const { return op == "parameter" || op == "buffer"; }
  bool operation() const { return !is_state() && op != "input"; }
};

// Copying a graph is cheap: the copy has nodes of its own and shares variables and modules.
class Graph {
 public:
  // In topological order. References to nodes stay valid until the node is erased.
  const std::list<Node>& nodes() const { return nodes_; }
  std::list<Node>& nodes() { return nodes_; }
  // Throws ConfigError when there is no such node.
  const Node& node(int id) const;
  Node& node(int id);
  // The node of this name; null when there is none.
  const Node* find(const std::string& name) const;

  int input() const { return input_; }
  int output() const { return output_; }
  void set_output(int id);

  // Each adds a node and returns its id; `node.id` is ignored, and a name that is taken gets an
  // index. Inputs must stand before the place. Throws ConfigError when they do not, or when there
  // would be a second "input".
  int append(Node node);
  int insert_before(int place, Node node);
  int insert_after(int place, Node node);

  // Ids of the nodes that take `id` as an input, in order, each once. The output of the graph is no
  // user.
  std::vector<int> users_of(int id) const;
  // Every use of `from` (as an input, and as the output of the graph) becomes a use of `to`; the
  // node `except` keeps its inputs. Throws ConfigError when a user would come to stand before `to`.
  void replace_uses(int from, int to, int except = -1);
  // Throws ConfigError when the node is used, or is the input or the output.
  void erase(int id);
  // Erases all that the output does not depend on, save the input, and returns how many.
  int erase_dead();

  // Variables and modules of its own, with equal values. What is shared inside the graph stays
  // shared inside the copy.
  Graph deep_copy() const;
  // Throws ConfigError when an input of a node does not stand before it, a name occurs twice or the
  // output is missing.
  void check() const;

 private:
  using Place = std::list<Node>::iterator;
  Place place_of(int id);
  int insert(Place before, Node node);
  std::string free_name(const std::string& base) const;

  std::list<Node> nodes_;
  int next_id_ = 0;
  int input_ = -1, output_ = -1;
};

}  // namespace stair::nn
