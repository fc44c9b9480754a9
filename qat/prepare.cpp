#include "qat/prepare.h"

#include <algorithm>
#include <array>

#include "qat/derived_quantizer.h"
#include "qat/engine_quantizer.h"
#include "qat/node_patterns.h"
#include "qat/ptq/layers.h"
#include "qat/spec_sets.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;
using Set = SpecSets::Set;

bool has_weights(const Node& node) {
  return node.op == "conv2d" || node.op == "linear";
}

class Preparation {
 public:
  Preparation(const Graph& graph, const Annotations& annotations)
      : original_(graph), graph_(graph), annotations_(annotations), sets_(graph, annotations) {}

  Prepared run() {
    for (const Node& node : original_.nodes()) {
      if (std::dynamic_pointer_cast<Quantizer>(node.module))
        throw ConfigError(str("prepare: '", node.name, "' is a quantizer already"),
                          "prepare the captured graph, once");
      if (!node.is_state() && !gone_.contains(node.id)) visit(node);
    }
    graph_.erase_dead();
    graph_.check();
    return {graph_, report_};
  }

 private:
  const QuantizationAnnotation& annotation(int id) const {
    static const QuantizationAnnotation kNone;
    const auto found = annotations_.find(id);
    return found == annotations_.end() ? kNone : found->second;
  }

  void tell(const Node& node, bool quantized, const std::string& how) {
    const std::string& note = annotation(node.id).note;
    report_.push_back({node.name, node.op, quantized,
                       how.empty()    ? note
                       : note.empty() ? how
                                      : how + "; " + note});
  }

  // `tensor` is the value's id in the original graph, `value` the one it has now.
  void visit(const Node& node) {
    int tensor = node.id, value = node.id;
    if (has_weights(node) && sets_.find({node.inputs[1], node.id}))
      value = replace_weighted(node, tensor);
    else
      tell_node(node);
    const Set* output = sets_.find({tensor});
    if (node.op == "concat" && output && !hands_on(node.id)) take_real(node.id);
    Activation activation = Activation::none;
    const int relu = output ? -1 : fusable_relu(tensor);
    if (relu >= 0) {
      const Node& fused = original_.node(relu);
      activation = activation_behind(relu);
      tell(fused, true, "fused into " + node.name);
      tensor = relu;
      output = sets_.find({relu});
      graph_.replace_uses(relu, value);
      drop(relu);
    }
    place_quantizers(tensor, value, output, activation);
  }

  void tell_node(const Node& node) {
    const QuantizationAnnotation& a = annotation(node.id);
    const Set* output = sets_.find({node.id});
    if (node.op == "input") {
      for (int user : original_.users_of(node.id))
        if (const Set* set = sets_.find({node.id, user})) output = set;
      tell(node, output != nullptr, output ? text_of(*output) : "no reader is quantized");
    } else if (output != nullptr) {
      tell(node, true, hands_on(node.id) ? "hands codes on" : text_of(*output));
    } else if (const int relu = fusable_relu(node.id); relu >= 0) {
      tell(node, true, text_of(*sets_.find({relu})));
    } else {
      tell(node, a.annotated,
           a.note.empty() ? a.annotated ? "computes on real numbers" : "no quantizer annotates it"
                          : "");
    }
  }

  static std::string text_of(const Set& set) {
    return set.derived ? "derived from other tensors" : describe(set.spec);
  }

  // The ReLU that is the tensor's only reader, when the quantizer behind it can clamp instead.
  int fusable_relu(int tensor) const {
    const std::vector<int> users = original_.users_of(tensor);
    if (users.size() != 1 || activation_behind(users[0]) == Activation::none) return -1;
    const Set& set = *sets_.find({users[0]});
    const std::set<int> places = places_of(set);
    const bool alike = std::all_of(places.begin(), places.end(), [&](int place) {
      return activation_behind(place) == activation_behind(users[0]);
    });
    return alike ? users[0] : -1;
  }

  // What a quantizer behind this node could apply in its stead.
  Activation activation_behind(int id) const {
    const Node& node = original_.node(id);
    const Set* set = sets_.find({id});
    if ((node.op != "relu" && node.op != "relu6") || !annotation(id).annotated || !set ||
        set->derived)
      return Activation::none;
    const int before = node.inputs[0];
    if (original_.users_of(before).size() != 1 || before == original_.output() ||
        sets_.find({before}) || sets_.find({before, id}))
      return Activation::none;
    return node.op == "relu" ? Activation::relu : Activation::relu6;
  }

  // Whether the node passes the integers of its inputs on.
  bool hands_on(int id) const {
    const Node& node = original_.node(id);
    const Set* set = sets_.find({id});
    return moves_codes(node.op) && set &&
           std::all_of(node.inputs.begin(), node.inputs.end(), [&](int input) {
             return sets_.find({input, id}) == set;
           });
  }

  // The tensors of a set that get a quantizer.
  std::set<int> places_of(const Set& set) const {
    std::set<int> producers;
    for (const EdgeOrNode& place : set.members)
      if (!original_.node(place.from).is_state() && !(place.to < 0 && hands_on(place.from)) &&
          !(place.to >= 0 && sets_.find({place.from}) == &set))
        producers.insert(place.from);
    return producers;
  }

  // Puts a QatConv in the place of a convolution or linear layer and of its batch norm; returns the
  // id of the new node. `tensor` becomes the batch norm, where there is one.
  int replace_weighted(const Node& node, int& tensor) {
    const Shape w = graph_.node(node.inputs[1]).shape;
    refuse_overflow(node, w);
    QatConvOptions options;
    options.linear = node.op == "linear";
    options.integer_bias = !has_bias(node) || bias_in_steps(node);
    if (!options.linear) read_conv(node.attributes, options.conv);
    // The activation's quantizer may stand between by now.
    std::vector<int> inputs = graph_.node(node.id).inputs;
    inputs.resize(3, -1);
    const QuantizationSpec& spec = sets_.find({node.inputs[1], node.id})->spec;
    options.group_size = spec.group_size;
    options.int8_bias = spec.int8_bias;
    tell(node, true, "weights " + describe(spec));
    if (const int norm = foldable_norm(node); norm >= 0) {
      const Node& bn = graph_.node(norm);
      options.batch_norm = true;
      options.momentum = bn.attributes.get<double>("momentum");
      options.eps = bn.attributes.get<double>("eps");
      inputs.insert(inputs.end(), bn.inputs.begin() + 1, bn.inputs.begin() + 5);
      inputs.push_back(bn.inputs.size() > 5 ? bn.inputs[5] : -1);
      tell(bn, true, "folded into " + node.name);
      tensor = norm;
    }
    Node made;
    made.op = "module";
    made.name = node.path.empty() ? node.name : node.path;
    made.path = node.path;
    made.inputs = inputs;
    made.shape = graph_.node(tensor).shape;
    made.module =
        std::make_shared<QatConv>(options, make_quantizer(spec, scales_of(node, spec, w)));
    const int value = graph_.insert_after(tensor, made);
    graph_.replace_uses(tensor, value);
    if (tensor != node.id) drop(tensor);
    drop(node.id);
    return value;
  }

  static int64_t scales_of(const Node& node, const QuantizationSpec& spec, const Shape& w) {
    if (spec.group_size == 0) return spec.axis < 0 ? 1 : w[0];
    if (node.op != "linear" || w[1] % spec.group_size != 0)
      throw ConfigError(str("prepare: groups of ", spec.group_size, " weights for '", node.name,
                            "' (", node.op, ") with weights ", w),
                        "groups are for linear layers, of a size that divides their inputs");
    return w.numel() / spec.group_size;
  }

  static bool has_bias(const Node& node) { return node.inputs.size() > 2 && node.inputs[2] >= 0; }

  // Whether the bias is annotated. The kernels add it to the accumulator, whose step is the product
  // of the scales.
  bool bias_in_steps(const Node& node) const {
    const Set* set = sets_.find({node.inputs[2], node.id});
    if (set == nullptr) return false;
    const QParams x{{0.5F}, {3}, -1, 0, 255}, w{{0.125F}, {0}, -1, -128, 127};
    const std::vector<EdgeOrNode> sources = {{node.inputs[0], node.id}, {node.inputs[1], node.id}};
    bool fits = set->derived && set->derived->derived_from == sources;
    if (fits) {
      const QParams p = set->derived->derive_qparams_fn(std::array{x, w});
      fits =
          p.scale == std::vector<float>{0.5F * 0.125F} && p.zero_point == std::vector<int32_t>{0};
    }
    if (!fits)
      throw ConfigError(
          str("prepare: the bias of '", node.name, "' has a specification that no kernel can run"),
          "derive it from (input, weight): the product of the scales, zero point 0");
    return true;
  }

  int foldable_norm(const Node& node) const {
    const std::vector<int> users = graph_.users_of(node.id);
    if (node.op != "conv2d" || users.size() != 1 || node.id == graph_.output() ||
        sets_.find({node.id}))
      return -1;
    const Node& user = graph_.node(users[0]);
    const bool fits = user.op == "batch_norm" && user.inputs[0] == node.id &&
                      annotation(user.id).annotated && !sets_.find({node.id, user.id});
    return fits ? user.id : -1;
  }

  void drop(int id) {
    graph_.erase(id);
    gone_.insert(id);
  }

  void place_quantizers(int tensor, int value, const Set* output, Activation activation) {
    int codes = value;
    if (output && !hands_on(tensor)) {
      codes = insert_quantizer(value, tensor, *output, activation);
      const bool result = value == graph_.output();
      graph_.replace_uses(value, codes, codes);
      if (result) graph_.set_output(insert_dequantize(codes));
    }
    // Readers that want other integers than those that are there.
    for (int user : graph_.users_of(codes)) {
      const Set* set = sets_.find({tensor, user});
      if (set == nullptr || set == output) continue;
      if (!placed_.contains({set, tensor}))
        insert_quantizer(
            output || moves_codes(original_.node(tensor).op) ? insert_dequantize(codes) : codes,
            tensor, *set, Activation::none);
      std::ranges::replace(graph_.node(user).inputs, codes, placed_.at({set, tensor}));
    }
  }

  // Codes of several scales are joined as real numbers, even if their scales come out equal.
  void take_real(int id) {
    const int input = graph_.node(id).inputs[0];
    graph_.node(id).inputs[0] = insert_dequantize(input);
  }

  int insert_dequantize(int id) {
    Node made;
    made.op = "dequantize";
    made.name = graph_.node(id).name + ".dequantize";
    made.inputs = {id};
    made.shape = graph_.node(id).shape;
    return graph_.insert_after(id, made);
  }

  int insert_quantizer(int value, int tensor, const Set& set, Activation activation) {
    Node made;
    made.op = "module";
    made.name = graph_.node(value).name + ".output_quantizer";
    made.inputs = {value};
    made.shape = graph_.node(value).shape;
    if (set.derived) {
      made.module = std::make_shared<DerivedQuantizer>(*set.derived);
      for (const EdgeOrNode& source : set.derived->derived_from) {
        const Set* from = sets_.find(source);
        const auto placed = placed_.find({from, source.from});
        if (placed == placed_.end())
          throw ConfigError(str("prepare: the parameters of '", original_.node(tensor).name,
                                "' follow from '", original_.node(source.from).name,
                                "', which is quantized later or as a weight"));
        made.inputs.push_back(placed->second);
      }
    } else {
      if (set.spec.axis >= 0)
        throw ConfigError(str("prepare: '", original_.node(tensor).name,
                              "' is an activation with a scale a channel, expected per tensor"));
      auto& shared = quantizers_[&set];
      if (!shared) shared = make_quantizer(set.spec, 1, activation);
      made.module = shared;
    }
    const int quantizer = graph_.insert_after(latest(made.inputs), made);
    placed_[{&set, tensor}] = quantizer;
    return quantizer;
  }

  int latest(const std::vector<int>& ids) const {
    int found = -1;
    for (const Node& node : graph_.nodes())
      if (std::ranges::find(ids, node.id) != ids.end()) found = node.id;
    return found;
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

  const Graph& original_;
  Graph graph_;
  const Annotations& annotations_;
  SpecSets sets_;
  std::map<const Set*, std::shared_ptr<Quantizer>> quantizers_;
  std::map<std::pair<const Set*, int>, int> placed_;  // by set and tensor
  std::vector<NodeReport> report_;
  std::set<int> gone_;
};

template <class M, class F>
void for_modules(nn::Module& model, const F& f) {
  for (auto& [name, module] : model.named_modules())
    if (M* found = dynamic_cast<M*>(module)) f(*found);
}

}  // namespace

Prepared prepare_qat(const nn::Graph& graph, const BackendQuantizer& quantizer) {
  Annotations annotations;
  quantizer.annotate(graph, annotations);
  quantizer.validate(graph, annotations);
  return Preparation(graph, annotations).run();
}

Prepared prepare(const nn::Graph& graph, const BackendQuantizer& quantizer) {
  return prepare_qat(fold_batch_norm(graph), quantizer);
}

Prepared prepare_qat(const nn::Graph& graph, const QuantizationConfig& config) {
  return prepare_qat(graph, EngineQuantizer(config));
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
