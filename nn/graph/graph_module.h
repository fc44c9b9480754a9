// A graph that runs.
#pragma once

#include <functional>

#include "nn/graph/graph.h"

namespace stair::nn {

// Executes the nodes in order under autograd; a value is let go after its last use. Parameters and
// buffers are registered under the paths they have in the graph, so the state dict is that of the
// original model. Modules of nodes are registered under the names of their nodes. Training and
// evaluation differ in the attribute "training" of batch_norm and dropout alone (a batch_norm node
// whose attribute "frozen" is true never trains) and in the mode of the modules. A batch_norm node
// that trains also counts the batch in its num_batches_tracked.
//
// To run an edited graph, make another GraphModule of it.
class GraphModule : public Module {
 public:
  // Throws ConfigError when the graph does not check, an operation is unknown or a node has no
  // module or variable where it needs it.
  explicit GraphModule(Graph graph);
  Variable forward(const Variable& x) override;
  // A deep copy in the same mode.
  std::shared_ptr<Module> clone() const override;

  const Graph& graph() const { return graph_; }

  // Sees every value while forward runs; for profiles, checks and calibration. Empty: none.
  using Observer = std::function<void(const Node& node, const Variable& value)>;
  void set_observer(Observer observer) { observer_ = std::move(observer); }

 private:
  struct Step {
    const Node* node;
    Variable (*apply)(std::span<const Variable>,
                      const Attributes&);  // null: runs the node's module
    Attributes training, evaluating;       // of the operation in each mode
    std::vector<size_t> inputs;            // slots
    size_t result;                         // slot
    std::vector<size_t> finished;          // slots not read after this step
    // The next step is the only reader, and both can be one pass over memory: two modules, or a
    // batch norm and a ReLU.
    bool into_next = false;
  };
  void plan();
  void register_state();
  // Whether the step and the next run as one.
  bool joins(const Step& step, std::span<const Variable> inputs) const;
  Variable run_joined(const Step& step, const Step& next, std::span<const Variable> inputs) const;
  Variable run(const Step& step, std::span<const Variable> inputs) const;

  Graph graph_;
  std::vector<Step> steps_;
  std::vector<std::pair<size_t, const Node*>> state_;  // slots of parameters and buffers
  size_t input_slot_ = 0, output_slot_ = 0, slots_ = 0;
  Observer observer_;
};

}  // namespace stair::nn
