#include "qat/convert.h"

#include <algorithm>
#include <set>

#include "autograd/ops/bfloat16.h"
#include "qat/deployable.h"
#include "qat/derived_quantizer.h"
#include "qat/int8/float_node.h"
#include "qat/int8/graph_builder.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;
using List = std::vector<int64_t>;

class Conversion : private Int8GraphBuilder {
 public:
  explicit Conversion(const Graph& graph) : Int8GraphBuilder(graph) {}

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
  // Inputs of one scale are joined as they are. Where prepare asked for real numbers, a quantizer
  // follows and says what they become.
  void concat(const Node& node) {
    const std::vector<int> inputs = indices(node);
    Int8Node& made = add(node, "concat", inputs);
    made.attributes.set("axis", node.attributes.get<int64_t>("axis"));
    made.format = at(inputs[0]).format;
    made.format.real = graph_.node(node.inputs[0]).op == "dequantize";
    for (int input : inputs) {
      const Int8Format& f = at(input).format;
      made.format.lo = std::min(made.format.lo, f.lo);
      made.format.hi = std::max(made.format.hi, f.hi);
    }
  }

  // A value that does not depend on the picture: weights, maybe rounded to bf16; else undefined.
  Tensor constant(int id) const {
    const Node& node = graph_.node(id);
    if (node.is_state()) return node.variable.value().clone();
    if (node.op != "bfloat16" || !graph_.node(node.inputs[0]).is_state()) return {};
    const autograd::NoGrad no_grad;
    return autograd::bfloat16(graph_.node(node.inputs[0]).variable).value();
  }

  void visit(const Node& node) {
    if (constant(node.id).defined()) return;  // part of the operation that reads it
    if (node.op == "input") {
      add(node, "input", {}).format.real = true;
    } else if (const auto* quantizer = dynamic_cast<const Quantizer*>(node.module.get())) {
      quantize(node, *quantizer);
    } else if (const auto* derived = dynamic_cast<const DerivedQuantizer*>(node.module.get())) {
      derive(node, *derived);
    } else if (auto* conv = dynamic_cast<QatConv*>(node.module.get())) {
      convolve(node, *conv);
    } else if (node.op == "dropout" || node.op == "dequantize" || node.op == "quant_stub" ||
               clamps_into_quantizer(node)) {
      converted_[node.id] = index(node, node.inputs[0]);
    } else if (!has_integer_form(node)) {
      compute_real(node);
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
      pool_attributes(node, add_keeping_format(node, "max_pool"));
    } else if (node.op == "pad_channels") {
      Int8Node& made = add_keeping_format(node, "pad_channels");
      made.attributes.set("before", node.attributes.get<int64_t>("before"));
      made.attributes.set("after", node.attributes.get<int64_t>("after"));
    } else {
      add_keeping_format(node, "flatten");
    }
  }

  bool is_code(int id) const {
    const auto found = converted_.find(id);
    return found != converted_.end() && !at(found->second).format.real;
  }

  // Whether a quantizer, the only reader, says what codes the value becomes.
  bool goes_into_quantizer(int id) const {
    const std::vector<int> users = graph_.users_of(id);
    if (users.size() != 1 || id == graph_.output()) return false;
    const Node& user = graph_.node(users[0]);
    const auto* quantizer = dynamic_cast<const Quantizer*>(user.module.get());
    return (quantizer != nullptr && !quantizer->spec().is_dynamic) ||
           dynamic_cast<const DerivedQuantizer*>(user.module.get()) || clamps_into_quantizer(user);
  }

  // Codes in and codes out.
  bool has_integer_form(const Node& node) const {
    for (int input : node.inputs)
      if (!is_code(input)) return false;
    if (node.op == "max_pool2d" || node.op == "pad_channels" || node.op == "flatten") return true;
    if (node.op == "concat" && graph_.node(node.inputs[0]).op != "dequantize") return true;
    const bool known = node.op == "add" || node.op == "mul" || node.op == "concat" ||
                       node.op == "avg_pool2d" || node.op == "global_avg_pool" ||
                       is_table_function(node.op);
    return known && goes_into_quantizer(node.id);
  }

  // The operation as it stands, on real numbers.
  void compute_real(const Node& node) {
    if (!is_float_operation(node.op))
      throw ConfigError(str("convert: node '", node.name, "' (", node.op,
                            ") has neither an integer nor a float form"));
    const bool norm = node.op == "batch_norm";
    Int8Node& made = add(node, "float", {});
    made.format.real = true;
    made.attributes = node.attributes;
    made.attributes.set("operation", node.op);
    if (norm) made.attributes.set("training", false);
    List sources;
    // A batch norm's last input counts batches.
    for (size_t i = 0; i < std::min<size_t>(node.inputs.size(), norm ? 5 : SIZE_MAX); ++i) {
      const int id = node.inputs[i];
      if (id < 0) {
        sources.push_back(FloatSource::kAbsent);
      } else if (const Tensor value = constant(id); value.defined()) {
        sources.push_back(FloatSource::kFirstTensor - static_cast<int64_t>(made.tensors.size()));
        made.tensors.push_back(value);
      } else {
        sources.push_back(static_cast<int64_t>(made.inputs.size()));
        made.inputs.push_back(index(node, id));
      }
    }
    made.attributes.set("sources", sources);
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

  // A quantizer becomes the format of the operation before it, or an operation of its own on the
  // network's input.
  void quantize(const Node& node, const Quantizer& quantizer) {
    require_deployable(node, quantizer);
    if (quantizer.spec().is_dynamic) return quantize_dynamically(node);
    const std::string& op = graph_.node(node.inputs[0]).op;
    const auto [lo, hi] = op == "relu"    ? quantizer.code_range(Activation::relu)
                          : op == "relu6" ? quantizer.code_range(Activation::relu6)
                                          : quantizer.code_range(quantizer.activation());
    const QParams p = quantizer.qparams();
    set_format(node, {false, quantizer.spec().is_signed, p.scale[0], p.zero_point[0], lo, hi});
  }

  // The layer that reads it does it; codes become real numbers before.
  void quantize_dynamically(const Node& node) {
    const int input = index(node, node.inputs[0]);
    converted_[node.id] = input;
    dynamic_.insert(node.id);
    if (!at(input).format.real) add_dequantize(node, input);
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
    for (size_t i = 1; i < node.inputs.size(); ++i)
      sources.push_back(qparams_of(at(index(node, node.inputs[i])).format));
    const QParams p = derived.qparams(sources);
    set_format(node,
               {false, derived.spec().is_signed, p.scale[0], p.zero_point[0], p.qmin, p.qmax});
  }

  // Whether one node reads the value of the operation that `id` hands on.
  bool is_only_reader(int id) const {
    if (graph_.users_of(id).size() != 1 || id == graph_.output()) return false;
    const Node& node = graph_.node(id);
    const bool hands_on =
        node.op == "relu" || node.op == "relu6" || node.op == "dropout" || node.op == "quant_stub";
    return !hands_on || is_only_reader(node.inputs[0]);
  }

  void set_format(const Node& node, const Int8Format& format) {
    const int input = index(node, node.inputs[0]);
    Int8Node& before = at(input);
    // An operation of integers whose only reader this is.
    const bool merges = before.op != "input" && before.op != "float" &&
                        before.op != kDynamicLinear && before.format.real &&
                        is_only_reader(node.inputs[0]);
    if (merges) {
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
    const int input = index(node, node.inputs[0]);
    const Int8Format& x = at(input).format;
    const bool dynamic = dynamic_.contains(node.inputs[0]), linear = conv.options().linear;
    if (dynamic && !linear)
      throw ConfigError(str("convert: '", node.name,
                            "' is a convolution, dynamic quantization is for linear layers"));
    const QatConv::Folded form = deployed_weights(graph_, node, conv, x.real ? 0 : x.scale);
    const bool grouped = conv.options().group_size > 0;
    Int8Node& made = add(node,
                         dynamic             ? kDynamicLinear
                         : x.real || grouped ? "float"
                                             : "conv",
                         {input});
    made.format.real = true;
    made.store_weight(form.weight.value());
    if (made.op == "float") {
      List sources = {0, FloatSource::kWeight};
      if (form.bias.defined()) {
        sources.push_back(FloatSource::kFirstTensor);
        made.tensors.push_back(form.bias.value().clone());
      }
      made.attributes.set("operation", std::string(grouped  ? "group_linear"
                                                   : linear ? "linear"
                                                            : "conv2d"));
      made.attributes.set("sources", sources);
    } else {
      if (form.bias.defined()) made.bias = form.bias.value().clone();
      if (form.bias_scale > 0) made.attributes.set("bias_scale", double{form.bias_scale});
      made.attributes.set("linear", linear);
    }
    if (!linear) set_conv_attributes(conv.options(), made.attributes);
  }

  void check_output_last() const {
    if (converted_.at(graph_.output()) != static_cast<int>(result_.nodes.size()) - 1)
      throw ConfigError(str("convert: the result '", graph_.node(graph_.output()).name,
                            "' is not the last operation"));
  }

  std::set<int> dynamic_;  // ids of quantizers that take the range of each batch
};

}  // namespace

Int8Graph convert(const nn::Graph& prepared) {
  return Conversion(prepared).run();
}

}  // namespace stair::qat
