#include "qat/convert_qdq.h"

#include <map>

#include "autograd/quantize_forward.h"
#include "qat/conv_bn.h"
#include "qat/deployable.h"
#include "qat/derived_quantizer.h"
#include "qat/node_patterns.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;

class Conversion {
 public:
  explicit Conversion(const Graph& graph) : from_(graph) {}

  Graph run() {
    for (const Node& node : from_.nodes()) visit(node);
    to_.set_output(ids_.at(from_.output()));
    to_.erase_dead();
    to_.check();
    return std::move(to_);
  }

 private:
  void visit(const Node& node) {
    if (const auto* quantizer = dynamic_cast<const Quantizer*>(node.module.get())) {
      require_deployable(node, *quantizer);
      // The range of each batch is found by the quantizer itself.
      if (quantizer->spec().is_dynamic) return copy(node);
      QParams p = quantizer->qparams();
      std::tie(p.qmin, p.qmax) = quantizer->code_range();
      quantize(node, p, quantizer->spec().dtype());
    } else if (const auto* derived = dynamic_cast<const DerivedQuantizer*>(node.module.get())) {
      std::vector<QParams> sources;
      for (size_t i = 1; i < node.inputs.size(); ++i) sources.push_back(codes_.at(node.inputs[i]));
      quantize(node, derived->qparams(sources), derived->spec().is_signed ? DType::s8 : DType::u8);
    } else if (auto* conv = dynamic_cast<QatConv*>(node.module.get())) {
      convolve(node, *conv);
    } else {
      copy(node);
    }
  }

  std::vector<int> inputs_of(const Node& node) const {
    std::vector<int> inputs;
    for (const int input : node.inputs) inputs.push_back(input < 0 ? -1 : ids_.at(input));
    return inputs;
  }

  int append(Node made, const Node& of) {
    made.shape = of.shape;
    made.path = of.path;
    return to_.append(std::move(made));
  }

  void copy(const Node& node) {
    Node made = node;
    made.inputs = inputs_of(node);
    ids_[node.id] = to_.append(std::move(made));
    // Integers pass through operations that only move or compare them.
    if (hands_on(node)) codes_[node.id] = codes_.at(node.inputs[0]);
  }

  bool hands_on(const Node& node) const {
    if (!moves_codes(node.op)) return false;
    for (const int input : node.inputs)
      if (!codes_.contains(input) || !(codes_.at(input) == codes_.at(node.inputs[0]))) return false;
    return true;
  }

  int dequantize(int id, const Node& of, const std::string& name) {
    Node made;
    made.op = "dequantize";
    made.name = name + ".dequantize";
    made.inputs = {id};
    made.attributes.set("codes", true);
    return append(std::move(made), of);
  }

  void quantize(const Node& node, const QParams& p, DType dtype) {
    Node made;
    made.op = "quantize";
    made.name = node.name;
    made.inputs = {ids_.at(node.inputs[0])};
    made.attributes = autograd::qparams_attributes(p);
    made.attributes.set("dtype", std::string(name(dtype)));
    made.attributes.set("relu", false);
    ids_[node.id] = dequantize(append(std::move(made), node), node, node.name);
    codes_[node.id] = p;
  }

  int buffer(const std::string& name, const Tensor& value) {
    Node made;
    made.op = "buffer";
    made.name = name;
    made.shape = value.shape();
    made.variable = Variable(value);
    return to_.append(std::move(made));
  }

  void convolve(const Node& node, QatConv& conv) {
    const auto x = codes_.find(node.inputs[0]);
    const QatConv::Folded form =
        deployed_weights(from_, node, conv, x == codes_.end() ? 0 : x->second.scale[0]);
    const int weight = buffer(node.name + ".weight_codes", form.weight.value().clone());
    Node made;
    made.op = conv.options().group_size > 0 ? "group_linear"
              : conv.options().linear       ? "linear"
                                            : "conv2d";
    made.name = node.name;
    made.inputs = {ids_.at(node.inputs[0]),
                   dequantize(weight, to_.node(weight), to_.node(weight).name)};
    if (form.bias.defined())
      made.inputs.push_back(buffer(node.name + ".deployed_bias", form.bias.value().clone()));
    if (!conv.options().linear) set_conv_attributes(conv.options(), made.attributes);
    ids_[node.id] = append(std::move(made), node);
  }

  const Graph& from_;
  Graph to_;
  std::map<int, int> ids_;        // from the prepared graph to the result
  std::map<int, QParams> codes_;  // of the prepared graph's integer values
};

}  // namespace

Graph convert_qdq(const Graph& prepared) {
  return Conversion(prepared).run();
}

}  // namespace stair::qat
