#include "qat/convert.h"

#include <algorithm>
#include <map>

#include "qat/conv_bn.h"
#include "qat/derived_quantizer.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;
using List = std::vector<int64_t>;

// Evaluation mode for a scope.
class EvalScope {
 public:
  explicit EvalScope(nn::Module& module) : module_(module), before_(module.is_training()) {
    module.eval();
  }
  ~EvalScope() { module_.train(before_); }
  EvalScope(const EvalScope&) = delete;
  EvalScope& operator=(const EvalScope&) = delete;

 private:
  nn::Module& module_;
  bool before_;
};

class Conversion {
 public:
  explicit Conversion(const Graph& graph) : graph_(graph) {}

  Int8Graph run() {
    for (const Node& node : graph_.nodes()) {
      if (node.is_state()) continue;
      visit(node);
    }
    if (converted_.find(graph_.output()) == converted_.end())
      throw ConfigError(str("convert: the result '", graph_.node(graph_.output()).name,
                            "' is no integer operation"));
    check_output_last();
    result_.validate();
    return std::move(result_);
  }

 private:
  int index(const Node& reader, int id) const {
    const auto found = converted_.find(id);
    if (found == converted_.end())
      throw ConfigError(str("convert: node '", reader.name, "' reads '", graph_.node(id).name,
                            "', which has no integer form"));
    return found->second;
  }

  std::vector<int> indices(const Node& node) const {
    std::vector<int> all;
    for (int id : node.inputs) all.push_back(index(node, id));
    return all;
  }

  // Inputs of one scale are joined as they are. Where prepare asked for real numbers, a quantizer
  // follows and says what they become.
  void concat(const Node& node) {
    const std::vector<int> inputs = indices(node);
    Int8Node& made = add(node, "concat", inputs);
    made.attributes.set("axis", node.attributes.get<int64_t>("axis"));
    made.format = result_.nodes[static_cast<size_t>(inputs[0])].format;
    made.format.real = graph_.node(node.inputs[0]).op == "dequantize";
    for (int input : inputs) {
      const Int8Format& f = result_.nodes[static_cast<size_t>(input)].format;
      made.format.lo = std::min(made.format.lo, f.lo);
      made.format.hi = std::max(made.format.hi, f.hi);
    }
  }

  Int8Node& add(const Node& node, const std::string& op, std::vector<int> inputs) {
    converted_[node.id] = static_cast<int>(result_.nodes.size());
    Int8Node made;
    made.op = op;
    made.name = node.name;
    made.inputs = std::move(inputs);
    result_.nodes.push_back(std::move(made));
    return result_.nodes.back();
  }

  void visit(const Node& node) {
    if (node.op == "input") {
      add(node, "input", {}).format.real = true;
    } else if (const auto* quantizer = dynamic_cast<const Quantizer*>(node.module.get())) {
      quantize(node, *quantizer);
    } else if (const auto* derived = dynamic_cast<const DerivedQuantizer*>(node.module.get())) {
      derive(node, *derived);
    } else if (auto* conv = dynamic_cast<QatConv*>(node.module.get())) {
      convolve(node, *conv);
    } else if (node.op == "add" || node.op == "mul") {
      add(node, node.op, indices(node)).format.real = true;
    } else if (node.op == "concat") {
      concat(node);
    } else if (is_table_function(node.op)) {
      Int8Node& made = add(node, "table", indices(node));
      made.format.real = true;
      made.attributes = node.attributes;
      made.attributes.set("function", node.op);
    } else if (node.op == "avg_pool2d" || node.op == "global_avg_pool") {
      Int8Node& made = add(node, "avg_pool", {index(node, node.inputs[0])});
      made.format.real = true;
      pool_attributes(node, made);
    } else if (node.op == "max_pool2d") {
      pool_attributes(node, keep_format(node, "max_pool"));
    } else if (node.op == "pad_channels") {
      Int8Node& made = keep_format(node, "pad_channels");
      made.attributes.set("before", node.attributes.get<int64_t>("before"));
      made.attributes.set("after", node.attributes.get<int64_t>("after"));
    } else if (node.op == "flatten") {
      keep_format(node, "flatten");
    } else if (node.op == "dropout" || node.op == "dequantize" || clamps_into_quantizer(node)) {
      converted_[node.id] = index(node, node.inputs[0]);
    } else {
      throw ConfigError(str("convert: node '", node.name, "' (", node.op, ") has no integer form"));
    }
  }

  Int8Node& keep_format(const Node& node, const std::string& op) {
    const int input = index(node, node.inputs[0]);
    const Int8Format format = result_.nodes[static_cast<size_t>(input)].format;
    Int8Node& made = add(node, op, {input});
    made.format = format;
    return made;
  }

  static void pool_attributes(const Node& node, Int8Node& made) {
    const bool global = node.op == "global_avg_pool";
    made.attributes.set("kernel", global ? List{} : node.attributes.get<List>("kernel"));
    if (global) return;
    made.attributes.set("stride", node.attributes.get<List>("stride"));
    made.attributes.set("padding", node.attributes.get<List>("padding"));
    if (node.attributes.has("count_include_pad"))
      made.attributes.set("count_include_pad", node.attributes.get<bool>("count_include_pad"));
  }

  static void refuse_simulated(const Node& node, const Quantizer& quantizer) {
    if (const std::string reason = quantizer.simulated(); !reason.empty())
      throw ConfigError(str("convert: '", node.name, "' has no integer form: ", reason),
                        "it trains on real numbers only; use another quantizer or other bits");
  }

  // A quantizer becomes the format of the operation before it, or an operation of its own on the
  // network's input.
  void quantize(const Node& node, const Quantizer& quantizer) {
    refuse_simulated(node, quantizer);
    if (!quantizer.calibrated() || !quantizer.fake_quant_enabled())
      throw ConfigError(str("convert: tensor '", node.name,
                            quantizer.calibrated() ? "' is not quantized" : "' has no scale yet"),
                        quantizer.calibrated() ? "switch its fake-quant on"
                                               : "calibrate first: run batches in training mode");
    const std::string& op = graph_.node(node.inputs[0]).op;
    const auto [lo, hi] = op == "relu"    ? quantizer.code_range(Activation::relu)
                          : op == "relu6" ? quantizer.code_range(Activation::relu6)
                                          : quantizer.code_range(quantizer.activation());
    const QParams p = quantizer.qparams();
    set_format(node, {false, quantizer.spec().is_signed, p.scale[0], p.zero_point[0], lo, hi});
  }

  // A ReLU whose only reader is a quantizer: that one's range of codes does it.
  bool clamps_into_quantizer(const Node& node) const {
    const std::vector<int> users = graph_.users_of(node.id);
    return (node.op == "relu" || node.op == "relu6") && users.size() == 1 &&
           node.id != graph_.output() &&
           dynamic_cast<const Quantizer*>(graph_.node(users[0]).module.get());
  }

  void derive(const Node& node, const DerivedQuantizer& derived) {
    std::vector<QParams> sources;
    for (size_t i = 1; i < node.inputs.size(); ++i) {
      const Int8Format& f = result_.nodes[static_cast<size_t>(index(node, node.inputs[i]))].format;
      sources.push_back({{f.scale}, {f.zero_point}, -1, f.lo, f.hi});
    }
    const QParams p = derived.qparams(sources);
    set_format(node,
               {false, derived.spec().is_signed, p.scale[0], p.zero_point[0], p.qmin, p.qmax});
  }

  void set_format(const Node& node, const Int8Format& format) {
    const int input = index(node, node.inputs[0]);
    Int8Node& before = result_.nodes[static_cast<size_t>(input)];
    if (before.op != "input" && before.format.real) {
      before.format = format;
      converted_[node.id] = input;
      return;
    }
    // A concatenation of one input brings it into the format.
    Int8Node& made = add(node, before.format.real ? "quantize" : "concat", {input});
    if (made.op == "concat") made.attributes.set("axis", int64_t{1});
    made.format = format;
  }

  void convolve(const Node& node, QatConv& conv) {
    std::vector<Variable> inputs(node.inputs.size());
    for (size_t i = 1; i < inputs.size(); ++i)
      if (node.inputs[i] >= 0) inputs[i] = graph_.node(node.inputs[i]).variable;
    EvalScope eval(conv);
    const autograd::NoGrad no_grad;
    refuse_simulated(node, conv.weight_quantizer());
    const int input = index(node, node.inputs[0]);
    const Int8Format& x = result_.nodes[static_cast<size_t>(input)].format;
    const QatConv::Folded form = conv.folded(inputs, x.real ? 0 : x.scale);
    if (!form.weight.quantized())
      throw ConfigError(str("convert: the weights of '", node.name, "' are not quantized"),
                        "switch fake-quant on");
    Int8Node& made = add(node, "conv", {input});
    made.format.real = true;
    const QParams& p = form.weight.value().qparams();
    made.store_weight(form.weight.value(), p.qmin, p.qmax);
    made.weight_scale = Tensor::from<float>(p.scale, {static_cast<int64_t>(p.scale.size())});
    if (form.bias.defined()) made.bias = form.bias.value().clone();
    const QatConvOptions& o = conv.options();
    made.attributes.set("linear", o.linear);
    if (o.linear) return;
    made.attributes.set("stride", List(o.conv.stride.begin(), o.conv.stride.end()));
    made.attributes.set("padding", List(o.conv.padding.begin(), o.conv.padding.end()));
    made.attributes.set("dilation", List(o.conv.dilation.begin(), o.conv.dilation.end()));
    made.attributes.set("groups", o.conv.groups);
  }

  void check_output_last() const {
    if (converted_.at(graph_.output()) != static_cast<int>(result_.nodes.size()) - 1)
      throw ConfigError(str("convert: the result '", graph_.node(graph_.output()).name,
                            "' is not the last operation"));
  }

  const Graph& graph_;
  Int8Graph result_;
  std::map<int, int> converted_;  // id in the graph -> index in the result
};

}  // namespace

Int8Graph convert(const nn::Graph& prepared) {
  return Conversion(prepared).run();
}

}  // namespace stair::qat
