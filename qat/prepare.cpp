#include "qat/prepare.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "qat/int8/graph.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;

constexpr std::array kWeighted = {"conv2d", "linear"};
// Operations whose result gets a quantizer of its own.
constexpr std::array kRequantized = {"conv2d", "linear",          "add",
                                     "mul",    "global_avg_pool", "avg_pool2d"};
// Operations that hand integers on as they are.
constexpr std::array kTransparent = {"max_pool2d", "flatten", "reshape", "pad_channels", "dropout"};

template <size_t N>
bool is_one_of(const std::string& op, const std::array<const char*, N>& ops) {
  return std::any_of(ops.begin(), ops.end(), [&](const char* o) { return op == o; });
}

class Preparation {
 public:
  Preparation(const Graph& graph, const QatConfig& config) : graph_(graph), config_(config) {}

  Prepared run() {
    find_ends();
    std::vector<int> ids;
    for (const Node& node : graph_.nodes()) ids.push_back(node.id);
    for (int id : ids)
      if (gone_.count(id) == 0) visit(id);
    graph_.erase_dead();
    graph_.check();
    return {graph_, report_};
  }

 private:
  // The first and the last layer with weights.
  void find_ends() {
    for (const Node& node : graph_.nodes())
      if (is_one_of(node.op, kWeighted)) {
        if (first_ < 0) first_ = node.id;
        last_ = node.id;
      }
  }

  bool ends_at_last(int id) const {
    for (int user : graph_.users_of(id)) {
      const Node& node = graph_.node(user);
      if (user == last_ || (is_one_of(node.op, kTransparent) && ends_at_last(user))) return true;
    }
    return false;
  }

  // Whether the value of a node is the network's result, maybe under another shape.
  bool only_adds_read(int id) const {
    const std::vector<int> users = graph_.users_of(id);
    return !users.empty() && std::all_of(users.begin(), users.end(),
                                         [&](int user) { return graph_.node(user).op == "add"; });
  }
  bool is_result(int id) const {
    if (id == graph_.output()) return true;
    for (int user : graph_.users_of(id))
      if (is_one_of(graph_.node(user).op, kTransparent) && is_result(user)) return true;
    return false;
  }

  // The only reader of a value when it is of one of the given operations and reads it as its first
  // input.
  std::optional<int> only_user(int id, std::initializer_list<const char*> ops) const {
    const std::vector<int> users = graph_.users_of(id);
    if (users.size() != 1 || id == graph_.output()) return std::nullopt;
    const Node& user = graph_.node(users[0]);
    const bool fits =
        std::any_of(ops.begin(), ops.end(), [&](const char* op) { return user.op == op; });
    return fits && user.inputs[0] == id ? std::optional(users[0]) : std::nullopt;
  }

  void tell(const Node& node, bool quantized, std::string how) {
    report_.push_back({node.name, node.op, quantized, std::move(how)});
  }

  void visit(int id) {
    const Node node = graph_.node(id);
    if (node.is_state()) return;
    if (node.op == "input") {
      QuantizationSpec spec = config_.activation;
      if (config_.first_last_8_bits) set_bits(spec, 8);
      tell(node, true, describe(spec));
      add_quantizer(id, node.name, spec, Activation::none);
    } else if (node.op == "concat" && share_scale(node)) {
      tell(node, true, "hands codes on, its inputs share one scale");
    } else if (is_one_of(node.op, kRequantized) || node.op == "concat" ||
               is_table_function(node.op)) {
      int value = is_one_of(node.op, kWeighted) ? replace_weighted(id) : id;
      if (node.op == "concat") take_real(id);
      requantize(node, value);
    } else if (is_one_of(node.op, kTransparent)) {
      tell(node, true, "hands codes on");
    } else {
      tell(node, false, "no integer kernel for this operation");
    }
  }

  QuantizationSpec spec_of_weights(int id) const {
    QuantizationSpec spec = config_.weight;
    if (config_.first_last_8_bits && (id == first_ || id == last_)) set_bits(spec, 8);
    return spec;
  }

  // Puts a QatConv in the place of a convolution or linear layer and of its batch norm; returns the
  // id of the new node.
  int replace_weighted(int id) {
    Node node = graph_.node(id);
    const Shape w = graph_.node(node.inputs[1]).shape;
    refuse_overflow(node, w);
    QatConvOptions options;
    options.linear = node.op == "linear";
    options.integer_bias = true;
    if (!options.linear) read_conv(node.attributes, options.conv);
    std::vector<int> inputs = {node.inputs[0], node.inputs[1],
                               node.inputs.size() > 2 ? node.inputs[2] : -1};
    int last = id;
    if (const auto bn = options.linear ? std::nullopt : only_user(id, {"batch_norm"})) {
      const Node& norm = graph_.node(*bn);
      options.batch_norm = true;
      options.momentum = norm.attributes.get<double>("momentum");
      options.eps = norm.attributes.get<double>("eps");
      inputs.insert(inputs.end(), norm.inputs.begin() + 1, norm.inputs.begin() + 5);
      inputs.push_back(norm.inputs.size() > 5 ? norm.inputs[5] : -1);
      last = *bn;
    }
    const QuantizationSpec spec = spec_of_weights(id);
    tell(node, true, str("weights ", describe(spec)));
    if (last != id) tell(graph_.node(last), true, str("folded into ", node.name));
    Node made;
    made.op = "module";
    made.name = node.path.empty() ? node.name : node.path;
    made.path = node.path;
    made.inputs = inputs;
    made.shape = graph_.node(last).shape;
    made.module =
        std::make_shared<QatConv>(options, make_quantizer(spec, spec.axis < 0 ? 1 : w[0]));
    const int value = graph_.insert_after(last, made);
    graph_.replace_uses(last, value);
    if (last != id) drop(last);
    drop(id);
    return value;
  }

  // One quantizer for all inputs of a concatenation. Not where they clamp in different ways.
  bool share_scale(const Node& node) {
    std::vector<Node*> nodes;
    for (int id : node.inputs) {
      while (is_one_of(graph_.node(id).op, kTransparent)) id = graph_.node(id).inputs[0];
      Node& from = graph_.node(id);
      const auto* quantizer = dynamic_cast<const Quantizer*>(from.module.get());
      if (quantizer == nullptr) return false;
      const auto& first =
          nodes.empty() ? *quantizer : dynamic_cast<const Quantizer&>(*nodes.front()->module);
      if (quantizer->activation() != first.activation() || quantizer->spec() != first.spec())
        return false;
      nodes.push_back(&from);
    }
    // Quantizers that an earlier concatenation shares stay together.
    for (Node* from : nodes) {
      const std::shared_ptr<nn::Module> before = from->module;
      for (Node& other : graph_.nodes())
        if (other.module == before) other.module = nodes.front()->module;
    }
    return true;
  }

  // Codes of several scales are joined as real numbers, even if their scales come out equal.
  void take_real(int id) {
    Node made;
    made.op = "dequantize";
    made.name = graph_.node(id).name + ".dequantize";
    made.inputs = {graph_.node(id).inputs[0]};
    made.shape = graph_.node(made.inputs[0]).shape;
    graph_.node(id).inputs[0] = graph_.insert_before(id, made);
  }

  void drop(int id) {
    graph_.erase(id);
    gone_.insert(id);
  }

  void requantize(const Node& node, int value) {
    Activation activation = Activation::none;
    int last = value;
    if (const auto relu = only_user(value, {"relu", "relu6"})) {
      activation = graph_.node(*relu).op == "relu" ? Activation::relu : Activation::relu6;
      last = *relu;
    }
    if (is_result(last)) {
      if (!is_one_of(node.op, kWeighted))
        tell(node, false, "the network's result stays in real numbers");
      return;
    }
    QuantizationSpec spec = config_.activation;
    if (config_.first_last_8_bits && ends_at_last(last)) set_bits(spec, 8);
    if (config_.add_operands_8_bits && only_adds_read(last)) set_bits(spec, 8);
    fix_range(node.op, spec);
    add_quantizer(last, graph_.node(value).name, spec, activation);
    if (!is_one_of(node.op, kWeighted)) tell(node, true, describe(spec));
    if (last != value) {
      tell(graph_.node(last), true, str("fused into ", node.name));
      // The quantizer clamps by itself: it reads the value before the ReLU.
      Node& quantizer = graph_.node(graph_.users_of(last).at(0));
      quantizer.inputs[0] = value;
      drop(last);
    }
  }

  // What is known to lie in [0, 1] needs no observer.
  static void fix_range(const std::string& op, QuantizationSpec& spec) {
    if ((op != "sigmoid" && op != "hardsigmoid") || spec.symmetric || spec.quantizer != "ste")
      return;
    spec.observer = "fixed";
    spec.fixed_scale = 1.0F / static_cast<float>(spec.qmax - spec.qmin + 1);
    spec.fixed_zero_point = spec.qmin;
  }

  void add_quantizer(int id, const std::string& name, const QuantizationSpec& spec,
                     Activation activation) {
    Node made;
    made.op = "module";
    made.name = name + ".output_quantizer";
    made.inputs = {id};
    made.shape = graph_.node(id).shape;
    made.module = make_quantizer(spec, 1, activation);
    const int quantizer = graph_.insert_after(id, made);
    graph_.replace_uses(id, quantizer, quantizer);
  }

  static void read_conv(const Attributes& from, autograd::Conv2dOptions& to) {
    const auto read = [&](const char* key, auto& values) {
      const auto& list = from.get<std::vector<int64_t>>(key);
      std::copy(list.begin(), list.end(), values.begin());
    };
    read("stride", to.stride);
    read("padding", to.padding);
    read("dilation", to.dilation);
    to.groups = from.get<int64_t>("groups");
  }

  // |acc| <= K * 255 * 128 must stay below 2^31.
  static void refuse_overflow(const Node& node, const Shape& w) {
    const int64_t k = w[0] == 0 ? 0 : w.numel() / w[0];
    if (k * 255 * 128 >= int64_t{1} << 31)
      throw ConfigError(str("prepare_qat: layer '", node.name, "' sums K = ", k,
                            " products, which can pass 32 bits; the most is ",
                            ((int64_t{1} << 31) - 1) / (255 * 128)));
  }

  Graph graph_;
  QatConfig config_;
  std::vector<NodeReport> report_;
  std::set<int> gone_;
  int first_ = -1, last_ = -1;
};

template <class M, class F>
void for_modules(nn::Module& model, const F& f) {
  for (auto& [name, module] : model.named_modules())
    if (M* found = dynamic_cast<M*>(module)) f(*found);
}

}  // namespace

QatConfig x86_config(int weight_bits, int activation_bits, const std::string& quantizer) {
  QatConfig config{activation_spec(activation_bits), weight_spec(weight_bits), true};
  config.activation.quantizer = config.weight.quantizer = find_quantizer(quantizer).name;
  return config;
}

Prepared prepare_qat(const nn::Graph& graph, const QatConfig& config) {
  validate(config.activation);
  validate(config.weight);
  return Preparation(graph, config).run();
}

std::string to_string(const std::vector<NodeReport>& report) {
  std::string text;
  for (const NodeReport& line : report)
    text += str(line.quantized ? "int8   " : "float  ", line.name, " (", line.op, "): ", line.how,
                '\n');
  return text;
}

std::set<const void*> learned_parameters(nn::Module& model) {
  std::set<const void*> ids;
  for_modules<Quantizer>(model, [&](Quantizer& q) {
    for (const nn::NamedVariable& p : q.named_parameters()) ids.insert(p.variable.id());
  });
  return ids;
}

void enable_observers(nn::Module& model, bool on) {
  for_modules<Quantizer>(model, [&](Quantizer& q) { q.enable_observer(on); });
}
void enable_fake_quant(nn::Module& model, bool on) {
  for_modules<Quantizer>(model, [&](Quantizer& q) { q.enable_fake_quant(on); });
}
void freeze_batch_norm(nn::Module& model, bool on) {
  for_modules<QatConv>(model, [&](QatConv& c) { c.freeze_bn(on); });
}

}  // namespace stair::qat
