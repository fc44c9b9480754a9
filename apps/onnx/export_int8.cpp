#include <cmath>
#include <limits>

#include "apps/onnx/export.h"
#include "apps/onnx/onnx_model.h"
#include "core/json.h"
#include "core/text.h"

namespace stair::apps {
namespace {

using List = std::vector<int64_t>;
using qat::Int8Format;
using qat::Int8Node;

// O KH KW I -> O I KH KW.
Tensor channels_first(const Tensor& w) {
  const int64_t o = w.size(0), window = w.size(1) * w.size(2), channels = w.size(3);
  Tensor result = Tensor::empty({o, channels, w.size(1), w.size(2)}, w.dtype());
  const int8_t* from = w.data<int8_t>();
  for (int64_t i = 0; i < o; ++i)
    for (int64_t p = 0; p < window; ++p)
      for (int64_t c = 0; c < channels; ++c)
        result.data<int8_t>()[(i * channels + c) * window + p] = *from++;
  return result;
}

Tensor transposed(const Tensor& w) {
  Tensor result = Tensor::empty({w.size(1), w.size(0)}, w.dtype());
  for (int64_t i = 0; i < w.size(0); ++i)
    for (int64_t k = 0; k < w.size(1); ++k)
      result.data<int8_t>()[k * w.size(0) + i] = w.data<int8_t>()[i * w.size(1) + k];
  return result;
}

class Int8Export {
 public:
  Int8Export(const qat::Int8Graph& graph, const OnnxOptions& options)
      : graph_(graph), options_(options), model_(options.opset), values_(graph.nodes.size()) {
    if (qoperator() && options.bias == OnnxBias::real)
      throw ConfigError("ONNX: QLinearConv has no real bias", "use the form qdq, or int32 biases");
  }

  std::string run() {
    graph_.validate();
    for (index_ = 0; index_ < graph_.nodes.size(); ++index_) visit(graph_.nodes[index_]);
    const int last = static_cast<int>(values_.size()) - 1;
    model_.set_output(real(last), "logits", output_shape());
    facts();
    return model_.bytes();
  }

 private:
  // The ONNX tensors of a node; empty where none was needed yet.
  struct Value {
    std::string real, codes, scale, zero_point;
    bool one_pixel = false;  // height and width are 1
  };

  bool qoperator() const { return options_.form == OnnxForm::qoperator; }
  Value& value(int i) { return values_[static_cast<size_t>(i)]; }
  const Int8Format& format(int i) const { return graph_.nodes[static_cast<size_t>(i)].format; }

  // Names the constants of the node's scale and zero point; those of its input where it keeps them.
  void name_format(const Int8Node& node) {
    Value& v = values_[index_];
    const Int8Format& f = node.format;
    if (node.op == "max_pool" || node.op == "pad_channels" || node.op == "flatten") {
      v.scale = value(node.inputs[0]).scale;
      v.zero_point = value(node.inputs[0]).zero_point;
      return;
    }
    v.scale = model_.scalar<float>(node.name + "_scale", f.scale);
    v.zero_point = code_constant(node.name + "_zero_point", f, f.zero_point);
  }

  std::string code_constant(const std::string& name, const Int8Format& f, int32_t code) {
    if (f.is_signed) return model_.scalar<int8_t>(name, static_cast<int8_t>(code));
    return model_.scalar<uint8_t>(name, static_cast<uint8_t>(code));
  }

  // The real form of a value; made once.
  std::string real(int i) {
    Value& v = value(i);
    if (v.real.empty())
      v.real =
          model_.add("DequantizeLinear", graph_.nodes[static_cast<size_t>(i)].name + "_dequantized",
                     {v.codes, v.scale, v.zero_point});
    return v.real;
  }

  // Adds the operation with the inputs; its result is made codes when the node yields codes.
  void add_real(const Int8Node& node, const std::string& op, const std::vector<std::string>& inputs,
                const Attributes& attributes = {}) {
    finish_real(node, model_.add(op, node.name, inputs, attributes));
  }

  void finish_real(const Int8Node& node, const std::string& result) {
    Value& v = values_[index_];
    if (node.format.real) {
      v.real = result;
      return;
    }
    name_format(node);
    clip(node, model_.add("QuantizeLinear", codes_name(node), {result, v.scale, v.zero_point}));
  }

  bool clips(const Int8Node& node) const {
    const Int8Format& f = node.format;
    return f.lo != (f.is_signed ? -128 : 0) || f.hi != (f.is_signed ? 127 : 255);
  }
  // Of the operation that yields the codes: a Clip behind it has the name that says quantized.
  std::string codes_name(const Int8Node& node) const {
    return node.name + (clips(node) ? "_saturated" : "_quantized");
  }
  void clip(const Int8Node& node, const std::string& codes) {
    values_[index_].codes = codes;
    if (!clips(node)) return;
    const Int8Format& f = node.format;
    values_[index_].codes = model_.add("Clip", node.name + "_quantized",
                                       {codes, code_constant(node.name + "_lowest", f, f.lo),
                                        code_constant(node.name + "_highest", f, f.hi)});
  }

  // What an operation reads that moves codes without changing them: reals in the form qdq.
  std::string moved_input(const Int8Node& node) {
    const int input = node.inputs[0];
    return qoperator() ? value(input).codes : real(input);
  }
  void move(const Int8Node& node, const std::string& op, const std::vector<std::string>& inputs,
            const Attributes& attributes) {
    Value& v = values_[index_];
    name_format(node);
    const std::string codes = node.name + "_quantized";
    v.codes =
        qoperator()
            ? model_.add(op, codes, inputs, attributes)
            : model_.add("QuantizeLinear", codes,
                         {model_.add(op, node.name, inputs, attributes), v.scale, v.zero_point});
  }

  void visit(const Int8Node& node) {
    if (node.op == "input") {
      values_[index_].real = model_.free_name("input");
      model_.set_input(values_[index_].real, input_shape());
    } else if (node.op == "quantize") {
      finish_real(node, real(node.inputs[0]));
    } else if (node.op == "conv") {
      convolve(node);
    } else if (node.op == "add" || node.op == "mul") {
      add_real(node, node.op == "add" ? "Add" : "Mul",
               {real(node.inputs[0]), real(node.inputs[1])});
    } else if (node.op == "concat") {
      concatenate(node);
    } else if (node.op == "table") {
      apply_function(node);
    } else if (node.op == "max_pool") {
      move(node, "MaxPool", {moved_input(node)}, window(node));
    } else if (node.op == "avg_pool") {
      average(node);
    } else if (node.op == "pad_channels") {
      pad(node);
    } else if (node.op == "flatten") {
      flatten(node);
    } else {
      throw FormatError(str("ONNX: node '", node.name, "' (", node.op, ") has no ONNX form here"));
    }
  }

  // Whether a value has features instead of pixels.
  bool flat(int i) const {
    const Int8Node& node = graph_.nodes[static_cast<size_t>(i)];
    if (node.op == "conv") return node.attributes.get<bool>("linear");
    return node.op == "flatten" || (!node.inputs.empty() && flat(node.inputs[0]));
  }

  void concatenate(const Int8Node& node) {
    constexpr int64_t kAxisOfChannelsFirst[] = {0, 2, 3, 1};
    const int64_t axis = node.attributes.get<int64_t>("axis");
    std::vector<std::string> inputs;
    for (int input : node.inputs) inputs.push_back(real(input));
    add_real(node, "Concat", inputs,
             {{"axis", flat(node.inputs[0]) || axis > 3 ? axis : kAxisOfChannelsFirst[axis]}});
  }

  void apply_function(const Int8Node& node) {
    const std::string& function = node.attributes.get<std::string>("function");
    const std::string x = real(node.inputs[0]);
    const Attributes sixth = {{"alpha", 1.0 / 6}, {"beta", 0.5}};
    if (function == "sigmoid") return add_real(node, "Sigmoid", {x});
    if (function == "tanh") return add_real(node, "Tanh", {x});
    if (function == "hardsigmoid") return add_real(node, "HardSigmoid", {x}, sixth);
    if (function == "leaky_relu")
      return add_real(node, "LeakyRelu", {x}, {{"alpha", node.attributes.get<double>("slope")}});
    if (function == "silu")
      return add_real(node, "Mul", {x, model_.add("Sigmoid", node.name + "_factor", {x})});
    if (function == "hardswish")
      return add_real(node, "Mul",
                      {x, model_.add("HardSigmoid", node.name + "_factor", {x}, sixth)});
    throw FormatError(str("ONNX: node '", node.name, "': ", function,
                          " has no operator in the operator sets that are written"));
  }

  List input_shape() const {
    const Attributes& m = graph_.metadata;
    const int64_t size = m.has("crop_size") ? m.get<int64_t>("crop_size") : -1;
    int64_t channels = -1;
    for (const Int8Node& node : graph_.nodes) {
      if (node.op == "pad_channels") break;
      if (node.op != "conv") continue;
      if (!node.attributes.get<bool>("linear"))
        channels = node.weight_shape()[3] * node.attributes.get<int64_t>("groups");
      break;
    }
    return {-1, channels, size, size};
  }

  List output_shape() const {
    const Int8Node& last = graph_.nodes.back();
    const bool conv = last.op == "conv";
    const int64_t features = conv ? last.weight_shape()[0] : -1;
    if (last.op == "flatten" || (conv && last.weight_shape().rank() == 2)) return {-1, features};
    return {-1, features, -1, -1};
  }

  static Attributes window(const Int8Node& node) {
    return {{"kernel_shape", node.attributes.get<List>("kernel")},
            {"strides", node.attributes.get<List>("stride")},
            {"pads", node.attributes.get<List>("padding")}};
  }

  void average(const Int8Node& node) {
    values_[index_].one_pixel = node.attributes.get<List>("kernel").empty();
    if (values_[index_].one_pixel)
      return add_real(node, "GlobalAveragePool", {real(node.inputs[0])});
    Attributes attributes = window(node);
    if (node.attributes.has("count_include_pad"))
      attributes.set("count_include_pad", int64_t{node.attributes.get<bool>("count_include_pad")});
    add_real(node, "AveragePool", {real(node.inputs[0])}, attributes);
  }

  void pad(const Int8Node& node) {
    const int64_t before = node.attributes.get<int64_t>("before"),
                  after = node.attributes.get<int64_t>("after");
    const std::string pads = model_.constant(
        node.name + "_pads", Tensor::from<int64_t>({0, before, 0, 0, 0, after, 0, 0}, {8}));
    const std::string zero = qoperator() ? value(node.inputs[0]).zero_point
                                         : model_.scalar<float>(node.name + "_value", 0);
    move(node, "Pad", {moved_input(node), pads, zero}, {{"mode", std::string("constant")}});
  }

  // Our features stand in NHWC order, which differs as soon as there is more than one pixel.
  void flatten(const Int8Node& node) {
    std::string x = moved_input(node);
    if (!value(node.inputs[0]).one_pixel)
      x = model_.add("Transpose", node.name + "_nhwc", {x}, {{"perm", List{0, 2, 3, 1}}});
    move(node, "Flatten", {x}, {{"axis", int64_t{1}}});
  }

  // float a step of the accumulator, by channel or one.
  std::vector<float> accumulator_scale(const Int8Node& node) const {
    const float* ws = node.weight_scale.data<float>();
    std::vector<float> scale(ws, ws + node.weight_scale.numel());
    for (float& s : scale) s *= format(node.inputs[0]).scale;
    return scale;
  }

  Tensor by_channel(const std::vector<float>& scale) const {
    const auto count = static_cast<int64_t>(scale.size());
    return Tensor::from<float>(scale, count == 1 ? Shape{} : Shape{count});
  }

  // The bias in steps of the accumulator; undefined when a sum could leave 32 bits.
  Tensor integer_bias(const Int8Node& node) const {
    const std::vector<float> scale = accumulator_scale(node);
    const int64_t o = node.weight_shape()[0];
    const double most = std::numeric_limits<int32_t>::max() -
                        static_cast<double>(node.weight_shape().numel() / o) * 255 * 128;
    Tensor steps = Tensor::empty({o}, DType::s32);
    for (int64_t c = 0; c < o; ++c) {
      const double exact =
          static_cast<double>(node.bias.data<float>()[c]) /
          static_cast<double>(scale[scale.size() == 1 ? 0 : static_cast<size_t>(c)]);
      if (!(std::abs(exact) <= most)) return {};
      steps.data<int32_t>()[c] = static_cast<int32_t>(std::nearbyint(exact));
    }
    return steps;
  }

  void convolve(const Int8Node& node) {
    const bool linear = node.attributes.get<bool>("linear");
    if (qoperator() && linear) return multiply_integers(node);
    if (qoperator() && !node.format.real) return convolve_codes(node);
    const std::string x = real(node.inputs[0]);
    const Weights weights =
        weight_constants(node, linear ? node.weight_codes() : channels_first(node.weight_codes()));
    const Attributes axis = weights.axis();
    std::vector<std::string> inputs = {
        x, model_.add("DequantizeLinear", node.name + "_weight_dequantized",
                      {weights.codes, weights.scale, weights.zero_point}, axis)};
    if (node.bias.defined()) inputs.push_back(real_bias(node, axis));
    if (linear)
      add_real(node, "Gemm", inputs, {{"transB", int64_t{1}}});
    else
      add_real(node, "Conv", inputs, conv_attributes(node));
  }

  struct Weights {
    std::string codes, scale, zero_point;
    bool per_channel = false;
    Attributes axis() const {
      return per_channel ? Attributes{{"axis", int64_t{0}}} : Attributes{};
    }
  };
  Weights weight_constants(const Int8Node& node, const Tensor& codes) {
    const int64_t scales = node.weight_scale.numel();
    const Shape shape = scales == 1 ? Shape{} : Shape{scales};
    return {model_.constant(node.name + "_weight", codes),
            model_.constant(node.name + "_weight_scale", node.weight_scale.reshape(shape)),
            model_.constant(node.name + "_weight_zero_point", Tensor::zeros(shape, DType::s8)),
            scales > 1};
  }

  // The bias as a real value: a constant, or integers behind a DequantizeLinear.
  std::string real_bias(const Int8Node& node, const Attributes& axis) {
    const Tensor steps = options_.bias == OnnxBias::int32 ? integer_bias(node) : Tensor();
    if (steps.defined())
      return model_.add(
          "DequantizeLinear", node.name + "_bias_dequantized",
          {model_.constant(node.name + "_bias", steps),
           model_.constant(node.name + "_bias_scale", by_channel(accumulator_scale(node)))},
          axis);
    if (options_.bias == OnnxBias::int32 && options_.notes != nullptr)
      options_.notes->push_back(
          str("'", printable(node.name), "' keeps a real bias: it has too many steps for 32 bits"));
    return model_.constant(node.name + "_bias", node.bias);
  }

  static Attributes conv_attributes(const Int8Node& node) {
    const Attributes& a = node.attributes;
    return {{"kernel_shape", List{node.weight_shape()[1], node.weight_shape()[2]}},
            {"strides", a.get<List>("stride")},
            {"pads", a.get<List>("padding")},
            {"dilations", a.get<List>("dilation")},
            {"group", a.get<int64_t>("groups")}};
  }

  void convolve_codes(const Int8Node& node) {
    const Value& x = value(node.inputs[0]);
    const Weights weights = weight_constants(node, channels_first(node.weight_codes()));
    name_format(node);
    const Value& v = values_[index_];
    std::vector<std::string> inputs = {x.codes,       x.scale,       x.zero_point,
                                       weights.codes, weights.scale, weights.zero_point,
                                       v.scale,       v.zero_point};
    if (node.bias.defined()) {
      const Tensor steps = integer_bias(node);
      if (!steps.defined())
        throw FormatError(str("ONNX: '", printable(node.name),
                              "' has a bias of too many steps for the 32 bits of QLinearConv"),
                          "use the form qdq, which keeps a real bias there");
      inputs.push_back(model_.constant(node.name + "_bias", steps));
    }
    clip(node, model_.add("QLinearConv", codes_name(node), inputs, conv_attributes(node)));
  }

  // ONNX has no integer linear layer with a bias: accumulators, then the real epilogue.
  void multiply_integers(const Int8Node& node) {
    const Value& x = value(node.inputs[0]);
    const std::string codes =
        model_.constant(node.name + "_weight", transposed(node.weight_codes()));
    const std::string sum =
        model_.add("MatMulInteger", node.name + "_accumulator", {x.codes, codes, x.zero_point});
    const std::string wide = model_.add("Cast", node.name + "_real_accumulator", {sum},
                                        {{"to", int64_t{onnx::TensorProto::FLOAT}}});
    const std::string scale =
        model_.constant(node.name + "_accumulator_scale", by_channel(accumulator_scale(node)));
    if (!node.bias.defined()) return add_real(node, "Mul", {wide, scale});
    const std::string product = model_.add("Mul", node.name + "_product", {wide, scale});
    add_real(node, "Add", {product, model_.constant(node.name + "_bias", node.bias)});
  }

  void facts() {
    for (const auto& [key, fact] : graph_.metadata) model_.add_fact(key, stair::to_string(fact));
    model_.add_fact("input_layout", "NCHW, RGB, (pixel / 255 - mean) / std");
    if (graph_.class_names.empty()) return;
    Json names = Json::array();
    for (const std::string& name : graph_.class_names) names.push_back(printable(name, SIZE_MAX));
    model_.add_fact("class_names", names.dump());
  }

  const qat::Int8Graph& graph_;
  const OnnxOptions& options_;
  OnnxModel model_;
  std::vector<Value> values_;  // by node
  size_t index_ = 0;           // of the node that is visited
};

}  // namespace

std::string to_onnx(const qat::Int8Graph& graph, const OnnxOptions& options) {
  return Int8Export(graph, options).run();
}

}  // namespace stair::apps
