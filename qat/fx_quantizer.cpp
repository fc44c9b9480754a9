#include "qat/fx_quantizer.h"

#include <algorithm>

#include "core/text.h"
#include "qat/node_patterns.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;
using Pattern = FxQuantizer::Pattern;

std::string last_part(const std::string& type) {
  return type.substr(type.rfind('.') + 1);
}

// A pattern as operations: the types that a fusion makes are what it fused.
std::vector<std::string> expand(const std::vector<std::string>& pattern,
                                const BackendConfig& backend) {
  std::vector<std::string> ops;
  for (const std::string& type : pattern) {
    const BackendPatternConfig* fusion = nullptr;
    for (const BackendPatternConfig& c : backend.configs())
      if (last_part(c.fused_module()) == last_part(type)) fusion = &c;
    if (fusion != nullptr)
      for (const std::string& part : fusion->pattern()) ops.push_back(object_type(part));
    else
      ops.push_back(object_type(type));
  }
  return ops;
}

std::string text(const std::vector<std::string>& ops) {
  return "(" + join(ops) + ")";
}

class Matching {
 public:
  Matching(const Graph& graph, const QConfigMapping& mapping, const std::string& backend,
           const std::vector<Pattern>& patterns, Annotations& annotations)
      : graph_(graph),
        mapping_(mapping),
        backend_(backend),
        patterns_(patterns),
        annotations_(annotations) {}

  void run() {
    for (const Node& node : graph_.nodes())
      if (node.operation() && !annotations_[node.id].annotated) visit(node);
  }

 private:
  void visit(const Node& node) {
    std::string& reason = annotations_[node.id].note;
    const Pattern* begins = nullptr;
    for (const Pattern& pattern : patterns_) {
      if (pattern.ops.front() != node.op) continue;
      begins = &pattern;
      const std::vector<int> chain = chain_at(node.id, pattern.ops);
      if (chain.empty()) continue;
      const auto qconfig = agreed(chain, reason);
      const DTypeConfig* types = qconfig ? kept_by(*qconfig, pattern, reason) : nullptr;
      if (types == nullptr) continue;
      annotate(chain, pattern, *types, *qconfig);
      return;
    }
    if (!reason.empty()) return;
    if (!begins)
      reason = str("backend '", backend_, "' has no pattern with ", node.op);
    else
      reason = str("backend '", backend_, "' has ", text(begins->ops), ", but here is ",
                   text(around(node.id, begins->ops.size())));
  }

  // The operations from a node on, as long as there is one reader.
  std::vector<std::string> around(int id, size_t count) const {
    std::vector<std::string> ops = {graph_.node(id).op};
    for (std::vector<int> users = graph_.users_of(id); users.size() == 1 && ops.size() < count;
         users = graph_.users_of(id)) {
      id = users[0];
      ops.push_back(graph_.node(id).op);
    }
    return ops;
  }

  // The nodes of the pattern that begins at a node; empty when it does not.
  std::vector<int> chain_at(int id, const std::vector<std::string>& ops) const {
    std::vector<int> chain = {id};
    for (size_t i = 1; i < ops.size(); ++i) {
      const std::vector<int> users = graph_.users_of(chain.back());
      if (users.size() != 1 || chain.back() == graph_.output()) return {};
      const Node& user = graph_.node(users[0]);
      const auto known = annotations_.find(user.id);
      if (user.op != ops[i] || user.inputs[0] != chain.back() ||
          (known != annotations_.end() && known->second.annotated))
        return {};
      chain.push_back(user.id);
    }
    return chain;
  }

  QConfigMapping::Entry agreed(const std::vector<int>& chain, std::string& reason) const {
    const auto qconfig = mapping_.qconfig_of(graph_, graph_.node(chain[0]));
    if (!qconfig) reason = "it has no QConfig";
    for (const int id : chain)
      if (qconfig && mapping_.qconfig_of(graph_, graph_.node(id)) != qconfig) {
        reason = str("'", graph_.node(id).name, "' of the same pattern has another QConfig");
        return std::nullopt;
      }
    return qconfig;
  }

  // The types of the pattern that the QConfig keeps to; null: none, and why.
  const DTypeConfig* kept_by(const QConfig& q, const Pattern& pattern, std::string& reason) const {
    for (const DTypeConfig& d : pattern.config.dtype_configs()) {
      reason.clear();
      const auto check = [&](const char* what, const DTypeWithConstraints& wanted,
                             const QuantizationSpec& spec) {
        if (const std::string broken = wanted.broken_by(spec); reason.empty() && !broken.empty())
          reason = str("backend '", backend_, "': the QConfig's ", what, " ", broken);
      };
      check("activation", d.input_dtype, q.activation);
      check("activation", d.output_dtype, q.activation);
      check("weight", d.weight_dtype, q.weight);
      if (reason.empty()) return &d;
    }
    return nullptr;
  }

  void annotate(const std::vector<int>& chain, const Pattern& pattern, const DTypeConfig& types,
                const QConfig& q) {
    for (const int id : chain) annotations_[id].annotated = true;
    const ObservationType type = pattern.config.observation_type();
    if (type == ObservationType::INPUT_OUTPUT_NOT_OBSERVED) return;
    const Node& first = graph_.node(chain[0]);
    auto& inputs = annotations_[first.id].input_qspec_map;
    if (!types.input_dtype.is_float())
      for (const int input : first.inputs)
        if (input >= 0 && !graph_.node(input).is_state()) inputs.emplace(input, q.activation);
    const int last = chain.back();
    if (is_result(last))
      annotations_[last].note = "the network's result stays in real numbers";
    else if (type == ObservationType::OUTPUT_SHARE_OBSERVER_WITH_INPUT && !inputs.empty())
      share(first.id, last);
    else if (!types.output_dtype.is_float())
      annotations_[last].output_qspec = q.activation;
    if (!types.weight_dtype.is_float() && (first.op == "conv2d" || first.op == "linear"))
      annotate_weights(first, types, q);
  }

  // All inputs of the first node and the output of the last one get one quantizer.
  void share(int first, int last) {
    auto& inputs = annotations_[first].input_qspec_map;
    const SharedQuantizationSpec shared{{inputs.begin()->first, first}};
    for (auto& [input, spec] : inputs)
      if (input != inputs.begin()->first) spec = shared;
    annotations_[last].output_qspec = shared;
  }

  void annotate_weights(const Node& node, const DTypeConfig& types, const QConfig& q) {
    auto& inputs = annotations_[node.id].input_qspec_map;
    inputs.insert_or_assign(node.inputs[1], q.weight);
    if (types.bias_dtype.dtype.ends_with("int32") && node.inputs.size() > 2 && node.inputs[2] >= 0)
      inputs.emplace(node.inputs[2],
                     bias_spec({node.inputs[0], node.id}, {node.inputs[1], node.id}));
  }

  bool is_result(int id) const {
    if (id == graph_.output()) return true;
    const std::vector<int> users = graph_.users_of(id);
    const auto reshapes = [&](int user) {
      return moves_codes(graph_.node(user).op) && is_result(user);
    };
    return std::any_of(users.begin(), users.end(), reshapes);
  }

  const Graph& graph_;
  const QConfigMapping& mapping_;
  const std::string& backend_;
  const std::vector<Pattern>& patterns_;
  Annotations& annotations_;
};

}  // namespace

FxQuantizer::FxQuantizer(QConfigMapping mapping, const BackendConfig& backend)
    : mapping_(std::move(mapping)), backend_(backend.name()) {
  for (const BackendPatternConfig& config : backend.configs())
    if (!config.dtype_configs().empty())
      patterns_.push_back({expand(config.pattern(), backend), config});
  std::stable_sort(patterns_.begin(), patterns_.end(),
                   [](const Pattern& a, const Pattern& b) { return a.ops.size() > b.ops.size(); });
}

void FxQuantizer::annotate(const Graph& graph, Annotations& annotations) const {
  mapping_.require_names(graph);
  Matching(graph, mapping_, backend_, patterns_, annotations).run();
}

std::vector<std::string> FxQuantizer::quantization_capabilities() const {
  std::vector<std::string> all;
  for (const Pattern& pattern : patterns_) all.push_back(join(pattern.ops, " "));
  return all;
}

}  // namespace stair::qat
