#include "qat/mixed_bf16.h"

#include <algorithm>
#include <set>

#include "qat/derived_quantizer.h"
#include "qat/node_patterns.h"
#include "qat/quantizer.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;

class Rounding {
 public:
  explicit Rounding(const Graph& prepared) : graph_(prepared) {}

  Graph run() {
    std::vector<int> ids;
    for (const Node& node : graph_.nodes())
      if (node.operation()) ids.push_back(node.id);
    for (const int id : ids) visit(id);
    graph_.check();
    return std::move(graph_);
  }

 private:
  static bool is_quantizer(const Node& node) {
    return dynamic_cast<const Quantizer*>(node.module.get()) ||
           dynamic_cast<const DerivedQuantizer*>(node.module.get());
  }

  void visit(int id) {
    const Node& node = graph_.node(id);
    const bool integers = std::all_of(node.inputs.begin(), node.inputs.end(), [&](int input) {
      return input < 0 || graph_.node(input).is_state() || codes_.contains(input);
    });
    if (is_quantizer(node) || (integers && moves_codes(node.op))) {
      codes_.insert(id);
      return;
    }
    if (integers && goes_into_quantizer(id)) return;
    if (node.op != "module" && node.op != "dequantize") round_inputs(id);
    const int made = graph_.insert_after(id, rounding_of(id));
    graph_.replace_uses(id, made, made);
  }

  // Whether a quantizer, the only reader, makes codes of the value, maybe behind a ReLU.
  bool goes_into_quantizer(int id) const {
    const std::vector<int> users = graph_.users_of(id);
    if (users.size() != 1 || id == graph_.output()) return false;
    const Node& user = graph_.node(users[0]);
    const bool clamps = user.op == "relu" || user.op == "relu6";
    return is_quantizer(user) || (clamps && goes_into_quantizer(user.id));
  }

  // Those that no operation left as bf16 yet.
  void round_inputs(int id) {
    const bool weighted = graph_.node(id).op == "conv2d" || graph_.node(id).op == "linear";
    for (const int input :
         std::set<int>(graph_.node(id).inputs.begin(), graph_.node(id).inputs.end())) {
      if (input < 0) continue;
      const bool state = graph_.node(input).is_state();
      if (state ? !weighted : !codes_.contains(input) && input != graph_.input()) continue;
      const int made = graph_.insert_before(id, rounding_of(input));
      std::ranges::replace(graph_.node(id).inputs, input, made);
    }
  }

  Node rounding_of(int id) const {
    Node made;
    made.op = "bfloat16";
    made.name = graph_.node(id).name + ".bfloat16";
    made.inputs = {id};
    made.shape = graph_.node(id).shape;
    return made;
  }

  Graph graph_;
  std::set<int> codes_;  // ids of values that are integers
};

}  // namespace

Graph mixed_bf16(const Graph& prepared) {
  return Rounding(prepared).run();
}

}  // namespace stair::qat
