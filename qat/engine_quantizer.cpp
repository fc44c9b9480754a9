#include "qat/engine_quantizer.h"

#include <algorithm>
#include <array>

#include "qat/int8/graph.h"
#include "qat/node_patterns.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;

constexpr std::array kWeighted = {"conv2d", "linear"};
// Operations whose result gets a specification of its own.
constexpr std::array kRequantized = {"add", "mul", "global_avg_pool", "avg_pool2d"};

// Integers pass as they are, whatever their scale.
bool is_transparent(const std::string& op) {
  return moves_codes(op) && op != "concat";
}

constexpr const char* kResult = "the network's result stays in real numbers";

template <size_t N>
bool is_one_of(const std::string& op, const std::array<const char*, N>& ops) {
  return std::any_of(ops.begin(), ops.end(), [&](const char* o) { return op == o; });
}

template <class Named, class Config>
void set_named(Named& named, const std::string& name, Config config) {
  std::erase_if(named, [&](const auto& entry) { return entry.first == name; });
  named.emplace_back(name, std::move(config));
}

class Annotator {
 public:
  Annotator(const Graph& graph, const EngineQuantizer& owner, Annotations& annotations)
      : graph_(graph), owner_(owner), annotations_(annotations) {
    for (const Node& node : graph.nodes())
      if (is_one_of(node.op, kWeighted)) {
        if (first_ < 0) first_ = node.id;
        last_ = node.id;
      }
  }

  void run() {
    for (const Node& node : graph_.nodes())
      if (node.operation() && !annotated(node.id) && annotations_[node.id].note.empty())
        visit(node);
  }

 private:
  bool annotated(int id) const {
    const auto found = annotations_.find(id);
    return found != annotations_.end() && found->second.annotated;
  }
  bool has_output(int id) const {
    const auto found = annotations_.find(id);
    return found != annotations_.end() && found->second.output_qspec.has_value();
  }

  void visit(const Node& node) {
    std::string reason;
    const auto config = owner_.config_of(graph_, node, reason);
    if (!config)
      annotations_[node.id].note = reason;
    else if (config->real_activations())
      annotate_weights(node, *config);
    else if (is_one_of(node.op, kWeighted))
      annotate_weighted(node, *config);
    else if (node.op == "concat" && can_share(node))
      annotate_shared(node);
    else if (node.op == "concat" || is_one_of(node.op, kRequantized) || is_table_function(node.op))
      annotate_requantized(node, *config);
    else if (is_transparent(node.op))
      annotate_transparent(node, *config);
    else
      annotations_[node.id].note = "no integer kernel for this operation";
  }

  QuantizationSpec weight_spec_of(const Node& node, const QuantizationConfig& config) const {
    QuantizationSpec spec = config.weight;
    if (node.op != "linear") spec.group_size = 0;
    const std::optional<int> bits = owner_.weight_bits_of(node);
    if (bits && *bits != spec.bits) set_bits(spec, *bits);
    if (!bits && config.first_last_8_bits && (node.id == first_ || node.id == last_))
      to_8_bits(spec);
    return spec;
  }

  void annotate_weighted(const Node& node, const QuantizationConfig& config) {
    annotate_inputs(node, config);
    auto& inputs = annotations_[node.id].input_qspec_map;
    inputs[node.inputs[1]] = weight_spec_of(node, config);
    if (node.inputs.size() > 2 && node.inputs[2] >= 0 && !config.weight.int8_bias)
      inputs[node.inputs[2]] = bias_spec({node.inputs[0], node.id}, {node.inputs[1], node.id});
    int end = node.id;
    if (node.op == "conv2d") end = take_next(end, {"batch_norm"});
    const auto relu = next(end, {"relu", "relu6"});
    if (is_result(relu.value_or(end))) {
      if (relu) annotations_[*relu].note = kResult;
      return;
    }
    end = take_next(end, {"relu", "relu6"});
    annotations_[end].output_qspec = output_spec(end, config);
  }

  // A layer whose result, and maybe input, stays in real numbers.
  void annotate_weights(const Node& node, const QuantizationConfig& config) {
    QuantizationAnnotation& annotation = annotations_[node.id];
    const bool dynamic = config.activation.is_dynamic;
    if (!is_one_of(node.op, kWeighted) || (dynamic && node.op != "linear")) {
      annotation.note =
          dynamic ? "only linear layers are quantized dynamically" : "only weights are quantized";
      return;
    }
    annotation.annotated = true;
    annotation.input_qspec_map[node.inputs[1]] = weight_spec_of(node, config);
    if (dynamic) annotation.input_qspec_map[node.inputs[0]] = config.activation;
    if (node.op == "conv2d") take_next(node.id, {"batch_norm"});
  }

  void annotate_requantized(const Node& node, const QuantizationConfig& config) {
    const int end = next(node.id, {"relu", "relu6"}).value_or(node.id);
    if (is_result(end)) {
      annotations_[node.id].note = kResult;
      if (end != node.id) annotations_[end].note = kResult;
      return;
    }
    annotate_inputs(node, config);
    QuantizationSpec spec = output_spec(end, config);
    fix_range(node.op, spec);
    annotations_[take_next(node.id, {"relu", "relu6"})].output_qspec = spec;
  }

  // What is known to lie in [0, 1] needs no observer.
  static void fix_range(const std::string& op, QuantizationSpec& spec) {
    if ((op != "sigmoid" && op != "hardsigmoid") || spec.symmetric || spec.quantizer != "ste")
      return;
    spec.observer = "fixed";
    spec.fixed_scale = 1.0F / static_cast<float>(spec.qmax - spec.qmin + 1);
    spec.fixed_zero_point = spec.qmin;
  }

  // Whether all inputs of a concatenation can have one scale: they are quantized alike, behind the
  // same activation.
  bool can_share(const Node& node) const {
    std::vector<const Node*> origins;
    for (int id : node.inputs) {
      while (is_transparent(graph_.node(id).op)) id = graph_.node(id).inputs[0];
      origins.push_back(&graph_.node(id));
    }
    const auto spec_of = [&](const Node& origin) {
      const auto found = annotations_.find(origin.id);
      return found == annotations_.end() || !found->second.output_qspec
                 ? nullptr
                 : std::get_if<QuantizationSpec>(&*found->second.output_qspec);
    };
    const auto clamp_of = [](const Node& origin) {
      return origin.op == "relu" || origin.op == "relu6" ? origin.op : "";
    };
    return std::all_of(origins.begin(), origins.end(), [&](const Node* origin) {
      return spec_of(*origin) && *spec_of(*origin) == *spec_of(*origins[0]) &&
             clamp_of(*origin) == clamp_of(*origins[0]);
    });
  }

  // The specifications of the producers are equal, so that they share with the edges.
  void annotate_shared(const Node& node) {
    QuantizationAnnotation& annotation = annotations_[node.id];
    const SharedQuantizationSpec first{{node.inputs[0], node.id}};
    for (const int input : node.inputs) annotation.input_qspec_map.insert_or_assign(input, first);
    annotation.input_qspec_map.insert_or_assign(node.inputs[0],
                                                SharedQuantizationSpec{{node.inputs[0]}});
    annotation.output_qspec = first;
    annotation.annotated = true;
  }

  void annotate_transparent(const Node& node, const QuantizationConfig& config) {
    const int input = node.inputs[0];
    if (has_output(input) || input == graph_.input() || node.op == "quant_stub") {
      annotate_inputs(node, config);
      annotations_[node.id].output_qspec = SharedQuantizationSpec{{input, node.id}};
    } else {
      annotations_[node.id].annotated = is_result(node.id);
      annotations_[node.id].note =
          is_result(node.id) ? "hands the network's result on" : "its input stays float";
    }
  }

  void annotate_inputs(const Node& node, const QuantizationConfig& config) {
    QuantizationAnnotation& annotation = annotations_[node.id];
    annotation.annotated = true;
    const size_t count = is_one_of(node.op, kWeighted) ? 1 : node.inputs.size();
    for (size_t i = 0; i < count; ++i) {
      const int input = node.inputs[i];
      if (graph_.node(input).is_state()) continue;
      if (has_output(input))
        annotation.input_qspec_map[input] = SharedQuantizationSpec{{input}};
      else
        annotation.input_qspec_map[input] = output_spec(input, config);
    }
  }

  // How a value is quantized.
  QuantizationSpec output_spec(int id, const QuantizationConfig& config) const {
    QuantizationSpec spec = config.activation;
    if (config.first_last_8_bits && (id == graph_.input() || ends_at_last(id))) to_8_bits(spec);
    if (config.add_operands_8_bits && only_adds_read(id)) to_8_bits(spec);
    return spec;
  }
  static void to_8_bits(QuantizationSpec& spec) {
    if (spec.bits != 8) set_bits(spec, 8);
  }

  // The only reader of a value when it is of one of the given operations, reads it as its first
  // input and is to be quantized.
  std::optional<int> next(int id, std::initializer_list<const char*> ops) const {
    const std::vector<int> users = graph_.users_of(id);
    if (users.size() != 1 || id == graph_.output() || annotated(users[0])) return std::nullopt;
    const Node& user = graph_.node(users[0]);
    std::string reason;
    const bool fits =
        std::any_of(ops.begin(), ops.end(), [&](const char* op) { return user.op == op; }) &&
        user.inputs[0] == id && owner_.config_of(graph_, user, reason);
    return fits ? std::optional(user.id) : std::nullopt;
  }
  // That reader becomes a part of the pattern. The end of the pattern.
  int take_next(int id, std::initializer_list<const char*> ops) {
    const std::optional<int> taken = next(id, ops);
    if (taken) annotations_[*taken].annotated = true;
    return taken.value_or(id);
  }

  bool ends_at_last(int id) const {
    for (int user : graph_.users_of(id)) {
      const Node& node = graph_.node(user);
      if (user == last_ || (is_transparent(node.op) && ends_at_last(user))) return true;
    }
    return false;
  }
  bool only_adds_read(int id) const {
    const std::vector<int> users = graph_.users_of(id);
    return !users.empty() && std::all_of(users.begin(), users.end(),
                                         [&](int user) { return graph_.node(user).op == "add"; });
  }
  // Whether the value of a node is the network's result, maybe under another shape.
  bool is_result(int id) const {
    if (id == graph_.output()) return true;
    for (int user : graph_.users_of(id))
      if (is_transparent(graph_.node(user).op) && is_result(user)) return true;
    return false;
  }

  const Graph& graph_;
  const EngineQuantizer& owner_;
  Annotations& annotations_;
  int first_ = -1, last_ = -1;  // layers with weights
};

}  // namespace

EngineQuantizer& EngineQuantizer::set_global(Config config) {
  if (config) qat::validate(*config);
  global_ = std::move(config);
  return *this;
}

EngineQuantizer& EngineQuantizer::set_object_type(const std::string& type, Config config) {
  if (config) qat::validate(*config);
  set_named(types_, object_type(type), std::move(config));
  return *this;
}

EngineQuantizer& EngineQuantizer::set_module_name(const std::string& name, Config config) {
  if (config) qat::validate(*config);
  set_named(names_, name, std::move(config));
  return *this;
}

EngineQuantizer& EngineQuantizer::set_filter(Filter filter) {
  filter_ = std::move(filter);
  return *this;
}

EngineQuantizer& EngineQuantizer::exclude(const std::string& pattern) {
  excluded_.push_back(pattern);
  return *this;
}

EngineQuantizer& EngineQuantizer::include(const std::string& pattern) {
  included_.push_back(pattern);
  return *this;
}

EngineQuantizer& EngineQuantizer::set_weight_bits(const std::string& pattern, int bits) {
  QuantizationSpec spec = weight_spec();
  set_bits(spec, bits);
  qat::validate(spec);
  weight_bits_.emplace_back(pattern, bits);
  return *this;
}

std::optional<int> EngineQuantizer::weight_bits_of(const Node& node) const {
  for (auto named = weight_bits_.rbegin(); named != weight_bits_.rend(); ++named)
    if (selects_node(named->first, node)) return named->second;
  return std::nullopt;
}

EngineQuantizer::Config EngineQuantizer::config_of(const Graph& graph, const Node& node,
                                                   std::string& reason) const {
  const auto selects = [&](const std::string& pattern) { return selects_node(pattern, node); };
  const auto excluded = std::find_if(excluded_.begin(), excluded_.end(), selects);
  if (excluded != excluded_.end()) {
    reason = str("excluded by '", *excluded, "'");
    return std::nullopt;
  }
  if (!included_.empty() && std::none_of(included_.begin(), included_.end(), selects)) {
    reason = "not included";
    return std::nullopt;
  }
  if (filter_ && !filter_(graph, node)) {
    reason = "the filter leaves it out";
    return std::nullopt;
  }
  for (auto named = names_.rbegin(); named != names_.rend(); ++named)
    if (names_node(named->first, node)) {
      reason = str("module name '", named->first, "' has no configuration");
      return named->second;
    }
  for (const auto& [type, config] : types_)
    if (type == node.op) {
      reason = str("type '", type, "' has no configuration");
      return config;
    }
  reason = "no configuration names it";
  return global_;
}

void EngineQuantizer::annotate(const Graph& graph, Annotations& annotations) const {
  for (const auto& [name, config] : names_) require_node(graph, name, "set_module_name");
  for (const std::string& pattern : excluded_) require_node(graph, pattern, "exclude", true);
  for (const std::string& pattern : included_) require_node(graph, pattern, "include", true);
  for (const auto& [pattern, bits] : weight_bits_) {
    require_node(graph, pattern, "weight bits", true);
    if (std::none_of(graph.nodes().begin(), graph.nodes().end(), [&](const Node& node) {
          return is_one_of(node.op, kWeighted) && selects_node(pattern, node);
        }))
      throw ConfigError(str("weight bits: '", pattern, "' names no convolution or linear layer"));
  }
  Annotator(graph, *this, annotations).run();
}

std::vector<std::string> EngineQuantizer::quantization_capabilities() const {
  std::vector<std::string> ops(kWeighted.begin(), kWeighted.end());
  ops.insert(ops.end(), kRequantized.begin(), kRequantized.end());
  for (const std::string& op : operations())
    if (moves_codes(op) || is_table_function(op)) ops.push_back(op);
  return ops;
}

}  // namespace stair::qat
