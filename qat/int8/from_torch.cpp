#include "qat/int8/from_torch.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "core/text.h"
#include "qat/int8/graph_builder.h"

namespace stair::qat {
namespace {

using nn::Node;
using List = std::vector<int64_t>;

constexpr const char* kInput = "quant";
constexpr std::string_view kScale = ".scale";
constexpr size_t kListed = 10;

// Scales and zero points that torch does not save, because the function's range gives them.
struct FixedFormat {
  const char* op;
  float scale;
  int32_t zero_point;
};
constexpr std::array<FixedFormat, 3> kFixed = {
    {{"hardsigmoid", 1.0F / 256, 0}, {"sigmoid", 1.0F / 256, 0}, {"tanh", 2.0F / 256, 128}}};

class Import : private Int8GraphBuilder {
 public:
  Import(const nn::Graph& graph, const nn::Weights& weights)
      : Int8GraphBuilder(graph), weights_(weights) {
    for (const NamedTensor& t : weights.tensors)
      if (!tensors_.emplace(t.name, &t.tensor).second)
        fail(str(in_quotes(t.name), " occurs twice"));
    for (const Node& node : graph.nodes())
      paths_.insert(node.is_state() ? node.name.substr(0, node.name.rfind('.')) : node.path);
  }

  Int8Graph run() {
    for (const Node& node : graph_.nodes())
      if (!node.is_state()) visit(node);
    const Node& output = graph_.node(graph_.output());
    add_dequantize(output, index(output, output.id)).name = "dequantize";
    refuse_rest();
    result_.validate();
    return std::move(result_);
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw FormatError(
        str("cannot read ", path_in_quotes(weights_.path), ": ", reason),
        "it must be the state dict of this network, quantized in torch's eager mode: --model, "
        "--width, --num-classes");
  }

  const Tensor* find(const std::string& name) {
    const auto it = tensors_.find(name);
    if (it == tensors_.end()) return nullptr;
    used_.insert(name);
    return it->second;
  }

  const Tensor& tensor(const std::string& name) {
    const Tensor* found = find(name);
    if (found == nullptr) fail(str("there is no ", in_quotes(name)));
    return *found;
  }

  Int8Format format(const std::string& path) {
    const Tensor &scale = tensor(path + ".scale"), &zero_point = tensor(path + ".zero_point");
    if (scale.dtype() != DType::f32 || scale.numel() != 1)
      fail(str(in_quotes(path + ".scale"), " is ", scale, ", expected one f32"));
    if (zero_point.dtype() != DType::s64 || zero_point.numel() != 1)
      fail(str(in_quotes(path + ".zero_point"), " is ", zero_point, ", expected one s64"));
    const int64_t z = zero_point.item<int64_t>();
    if (z < 0 || z > 255) fail(str(in_quotes(path + ".zero_point"), " is ", z, ", not a u8 code"));
    return {.scale = scale.item<float>(), .zero_point = static_cast<int32_t>(z)};
  }

  // The network's operation, attributes included.
  Int8Node& copy(const Node& node, const std::string& op, std::vector<int> inputs) {
    Int8Node& made = add(node, op, std::move(inputs));
    made.attributes = node.attributes;
    return made;
  }

  void visit(const Node& node) {
    if (node.op == "input") {
      add(node, "input", {}).format.real = true;
      Int8Node& codes = add(node, "quantize", {index(node, node.id)});
      codes.name = kInput;
      codes.format = format(kInput);
    } else if (node.op == "conv2d" || node.op == "linear") {
      convolve(node);
    } else if (node.op == "batch_norm" || node.op == "dropout") {
      converted_[node.id] = index(node, node.inputs[0]);
    } else if (node.op == "relu") {
      clamp(node);
    } else if (node.op == "add" || node.op == "mul" || node.op == "concat") {
      copy(node, node.op, indices(node)).format = format(next_functional(node));
    } else if (is_table_function(node.op)) {
      Int8Node& made = copy(node, "table", indices(node));
      made.attributes.set("function", node.op);
      made.format = format_of_function(node);
    } else if (node.op == "max_pool2d" || node.op == "avg_pool2d" || node.op == "global_avg_pool" ||
               node.op == "flatten") {
      pool_or_flatten(node);
    } else {
      throw ConfigError(str("'", node.name, "' (", node.op,
                            ") has no form among torch's quantized operations that can be read"));
    }
  }

  void pool_or_flatten(const Node& node) {
    Int8Node& made = add_keeping_format(node, node.op == "max_pool2d" ? "max_pool"
                                              : node.op == "flatten"  ? "flatten"
                                                                      : "avg_pool");
    made.attributes = node.attributes;
    if (node.op == "global_avg_pool") made.attributes.set("kernel", List{});
  }

  Int8Format format_of_function(const Node& node) {
    for (const FixedFormat& fixed : kFixed)
      if (node.op == fixed.op) return {.scale = fixed.scale, .zero_point = fixed.zero_point};
    return format(node.path);
  }

  // torch's fused modules and functionals say nothing of their ReLU: the network does.
  void clamp(const Node& node) {
    const int input = index(node, node.inputs[0]);
    Int8Node& made = at(input);
    const bool fuses = made.op == "conv" || made.op == "add";
    if (!fuses || graph_.users_of(node.inputs[0]).size() != 1)
      throw ConfigError(str("'", node.name, "' follows no convolution, linear layer or addition",
                            " that it alone reads"));
    made.format.lo = made.format.zero_point;
    converted_[node.id] = input;
  }

  // The path of the functional that does the next operation of the node's module.
  std::string next_functional(const Node& node) {
    const std::string prefix = node.path.empty() ? "" : node.path + ".";
    for (const NamedTensor& t : weights_.tensors) {
      if (!t.name.starts_with(prefix) || !t.name.ends_with(kScale)) continue;
      const std::string path = t.name.substr(0, t.name.size() - kScale.size());
      const bool direct = path.find('.', prefix.size()) == std::string::npos;
      if (direct && path != kInput && !paths_.contains(path) && functionals_.insert(path).second)
        return path;
    }
    fail(str("there is no scale for ", in_quotes(node.name), ", ",
             in_quotes(prefix + "NAME.scale")));
  }

  void convolve(const Node& node) {
    const bool linear = node.op == "linear";
    const Tensor& given = tensor(node.path + ".weight");
    check_weight(node, given);
    const Tensor codes = nn::from_torch_layout(given);
    Int8Node& made = copy(node, "conv", {index(node, node.inputs[0])});
    made.name = node.path;
    made.attributes.set("linear", linear);
    made.store_weight(codes);
    if (const Tensor* bias = find(node.path + ".bias")) made.bias = bias->clone();
    made.format = format(node.path);
  }

  void check_weight(const Node& node, const Tensor& given) const {
    const std::string name = in_quotes(node.path + ".weight");
    const Shape& own = graph_.node(node.inputs[1]).variable.shape();
    const Shape expected = own.rank() == 4 ? Shape{own[0], own[3], own[1], own[2]} : own;
    if (!given.quantized() || given.dtype() != DType::s8)
      fail(str(name, " is ", given, ", expected a qint8 tensor"));
    if (given.shape() != expected) fail(str(name, " is ", given, ", expected ", expected));
    const QParams& p = given.qparams();
    if (p.axis > 0) fail(str(name, " has scales along dimension ", p.axis, ", expected 0"));
    const auto other =
        std::find_if(p.zero_point.begin(), p.zero_point.end(), [](int32_t z) { return z != 0; });
    if (other != p.zero_point.end())
      fail(str(name, " has the zero point ", *other, ", only symmetric weights can be read"));
  }

  // Functionals that a network has and does not use keep their scales.
  void refuse_rest() const {
    std::vector<std::string> rest;
    for (const auto& [name, tensor] : tensors_)
      if (!used_.contains(name) && !name.ends_with(".scale") && !name.ends_with(".zero_point"))
        rest.push_back(name);
    if (!rest.empty())
      fail(str(rest.size(), " tensors that the network has not: ", join(rest, ", ", kListed)));
  }

  const nn::Weights& weights_;
  std::map<std::string, const Tensor*> tensors_;
  std::set<std::string> paths_, used_, functionals_;  // of modules; names read; of functionals
};

}  // namespace

Int8Graph int8_from_torch(const nn::Graph& graph, const nn::Weights& weights) {
  return Import(graph, weights).run();
}

}  // namespace stair::qat
