#include "apps/onnx/export.h"
#include "apps/onnx/onnx_model.h"
#include "apps/onnx/parts.h"
#include "core/text.h"
#include "qat/int8/program.h"

namespace stair::apps {
namespace {

using List = std::vector<int64_t>;
using qat::Int8Format;
using qat::Int8Node;

class Int8Export {
 public:
  Int8Export(const qat::Int8Graph& graph, const OnnxOptions& options)
      : graph_(graph), options_(options), model_(options.opset), values_(graph.nodes.size()) {
    if (options.form == OnnxForm::qoperator && options.bias == OnnxBias::real)
      throw ConfigError("ONNX: QLinearConv has no real bias", "use the form qdq, or int32 biases");
    if (options.int4 && (options.opset < kInt4Opset || options.form != OnnxForm::qdq))
      throw ConfigError(str("ONNX: INT4 weights need the form qdq and operator set ", kInt4Opset),
                        str("add --form qdq --opset ", kInt4Opset, ", or leave out --int4"));
  }

  std::string run() {
    graph_.validate();
    for (index_ = 0; index_ < graph_.nodes.size(); ++index_) visit(graph_.nodes[index_]);
    const int last = static_cast<int>(values_.size()) - 1;
    model_.set_output(real(last), "logits", output_shape(graph_));
    add_facts(model_, graph_.metadata, graph_.class_names);
    return model_.bytes();
  }

 private:
  // The ONNX tensors of a node; empty where none was needed yet.
  struct Value {
    std::string real, codes, scale, zero_point;
    bool one_pixel = false;  // height and width are 1
  };

  // Whether operations that only move codes do so, instead of moving what the codes stand for.
  bool on_codes() const { return options_.form != OnnxForm::qdq; }
  bool exact() const { return options_.form == OnnxForm::exact; }
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
    if (exact()) return quantize_exactly(node, result);
    clip(node, model_.add("QuantizeLinear", codes_name(node), {result, v.scale, v.zero_point}));
  }

  // QuantizeLinear divides by the scale, here its inverse multiplies.
  void quantize_exactly(const Int8Node& node, const std::string& result) {
    const Int8Format& f = node.format;
    const std::string& name = node.name;
    const auto number = [&](const char* what, int32_t code) {
      return model_.scalar<float>(name + what, static_cast<float>(code));
    };
    const std::string inverse = model_.scalar<float>(name + "_inverse_scale", 1.0F / f.scale);
    std::string q = model_.add("Mul", name + "_steps", {result, inverse});
    q = model_.add("Round", name + "_rounded", {q});
    if (f.zero_point != 0)
      q = model_.add("Add", name + "_shifted", {q, number("_shift", f.zero_point)});
    q = model_.add("Clip", name + "_saturated",
                   {q, number("_lowest", f.lo), number("_highest", f.hi)});
    values_[index_].codes = cast(q, code_type(f), name + "_quantized");
  }

  static int64_t code_type(const Int8Format& f) {
    return f.is_signed ? onnx::TensorProto::INT8 : onnx::TensorProto::UINT8;
  }
  std::string cast(const std::string& x, int64_t type, const std::string& name) {
    return model_.add("Cast", name, {x}, {{"to", type}});
  }
  std::string to_float(const std::string& x, const Int8Node& node) {
    return cast(x, onnx::TensorProto::FLOAT, node.name + "_real_accumulator");
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
    return on_codes() ? value(input).codes : real(input);
  }
  void move(const Int8Node& node, const std::string& op, const std::vector<std::string>& inputs,
            const Attributes& attributes) {
    Value& v = values_[index_];
    name_format(node);
    const std::string codes = node.name + "_quantized";
    v.codes =
        on_codes()
            ? model_.add(op, codes, inputs, attributes)
            : model_.add("QuantizeLinear", codes,
                         {model_.add(op, node.name, inputs, attributes), v.scale, v.zero_point});
  }

  void visit(const Int8Node& node) {
    if (node.op == "input") {
      values_[index_].real = model_.free_name("input");
      model_.set_input(values_[index_].real, input_shape(graph_));
    } else if (node.op == "quantize") {
      finish_real(node, real(node.inputs[0]));
    } else if (node.op == "conv") {
      convolve(node);
    } else if (node.op == "mul" && exact()) {
      multiply_codes(node);
    } else if (node.op == "add" || node.op == "mul") {
      add_real(node, node.op == "add" ? "Add" : "Mul",
               {real(node.inputs[0]), real(node.inputs[1])});
    } else if (node.op == "concat") {
      concatenate(node);
    } else if (node.op == "table") {
      apply_function(node);
    } else if (node.op == "max_pool") {
      move(node, "MaxPool", {moved_input(node)}, window_attributes(node.attributes));
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
    const int64_t axis = node.attributes.get<int64_t>("axis");
    const Attributes along = {{"axis", flat(node.inputs[0]) ? axis : axis_channels_first(axis)}};
    const bool codes = exact() && std::all_of(node.inputs.begin(), node.inputs.end(), [&](int i) {
                         return same_grid(format(i), node.format);
                       });
    std::vector<std::string> inputs;
    for (int input : node.inputs) inputs.push_back(codes ? value(input).codes : real(input));
    if (!codes) return add_real(node, "Concat", inputs, along);
    name_format(node);
    values_[index_].codes = model_.add("Concat", node.name + "_quantized", inputs, along);
  }

  // Codes without their zero point, s32.
  std::string centred(int i) {
    const std::string& name = graph_.nodes[static_cast<size_t>(i)].name;
    const std::string q = cast(value(i).codes, onnx::TensorProto::INT32, name + "_integers");
    const std::string zero =
        model_.scalar<int32_t>(name + "_zero_point_integer", format(i).zero_point);
    return model_.add("Sub", name + "_centred", {q, zero});
  }

  void multiply_codes(const Int8Node& node) {
    const int a = node.inputs[0], b = node.inputs[1];
    const std::string product = model_.add("Mul", node.name + "_product", {centred(a), centred(b)});
    const std::string scale =
        model_.scalar<float>(node.name + "_product_scale", format(a).scale * format(b).scale);
    add_real(node, "Mul", {to_float(product, node), scale});
  }

  void look_up(const Int8Node& node) {
    const Int8Format& f = format(node.inputs[0]);
    const std::array<uint8_t, 256> codes = qat::table_of(node, f);
    Tensor table = Tensor::empty({256}, node.format.is_signed ? DType::s8 : DType::u8);
    const int first = f.is_signed ? 128 : 0;  // where the lowest code stands
    for (int i = 0; i < 256; ++i)
      table.raw()[i] = static_cast<std::byte>(codes[static_cast<size_t>((i + first) % 256)]);
    std::string index =
        cast(value(node.inputs[0]).codes, onnx::TensorProto::INT32, node.name + "_integers");
    if (f.is_signed)
      index = model_.add("Add", node.name + "_index",
                         {index, model_.scalar<int32_t>(node.name + "_first", first)});
    name_format(node);
    values_[index_].codes = model_.add("Gather", node.name + "_quantized",
                                       {model_.constant(node.name + "_table", table), index});
  }

  void apply_function(const Int8Node& node) {
    if (exact()) return look_up(node);
    const std::string& function = node.attributes.get<std::string>("function");
    const std::string result =
        add_function(model_, function, node.attributes, real(node.inputs[0]), node.name);
    if (result.empty())
      throw FormatError(str("ONNX: node '", node.name, "': ", function,
                            " has no operator in the operator sets that are written"));
    finish_real(node, result);
  }

  void average(const Int8Node& node) {
    values_[index_].one_pixel = node.attributes.get<List>("kernel").empty();
    if (exact()) return average_codes(node);
    if (values_[index_].one_pixel)
      return add_real(node, "GlobalAveragePool", {real(node.inputs[0])});
    add_real(node, "AveragePool", {real(node.inputs[0])}, average_attributes(node.attributes));
  }

  // float(sum of the codes) * (scale / pixels).
  void average_codes(const Int8Node& node) {
    if (!values_[index_].one_pixel)
      throw FormatError(str("ONNX: '", printable(node.name),
                            "' averages windows, which the exact form cannot express"),
                        "use the form qdq");
    const auto numbers = [&](const char* what) {
      return model_.constant(node.name + what, Tensor::from<int64_t>({2, 3}, {2}));
    };
    const std::string x = centred(node.inputs[0]);
    const std::string sum = model_.add("ReduceSum", node.name + "_sum", {x, numbers("_axes")});
    const std::string sizes =
        model_.add("Gather", node.name + "_sizes",
                   {model_.add("Shape", node.name + "_shape", {x}), numbers("_dimensions")});
    const std::string pixels =
        cast(model_.add("ReduceProd", node.name + "_pixels", {sizes}, {{"keepdims", int64_t{0}}}),
             onnx::TensorProto::FLOAT, node.name + "_real_pixels");
    const std::string scale =
        model_.add("Div", node.name + "_sum_scale", {value(node.inputs[0]).scale, pixels});
    add_real(node, "Mul", {to_float(sum, node), scale});
  }

  void pad(const Int8Node& node) {
    const int64_t before = node.attributes.get<int64_t>("before"),
                  after = node.attributes.get<int64_t>("after");
    const std::string pads = model_.constant(
        node.name + "_pads", Tensor::from<int64_t>({0, before, 0, 0, 0, after, 0, 0}, {8}));
    const std::string zero = on_codes() ? value(node.inputs[0]).zero_point
                                        : model_.scalar<float>(node.name + "_value", 0);
    move(node, "Pad", {moved_input(node), pads, zero}, {{"mode", std::string("constant")}});
  }

  void flatten(const Int8Node& node) {
    std::string x = moved_input(node);
    if (!value(node.inputs[0]).one_pixel) x = add_channels_last(model_, node.name, x);
    move(node, "Flatten", {x}, {{"axis", int64_t{1}}});
  }

  Tensor by_channel(const std::vector<float>& scale) const {
    const auto count = static_cast<int64_t>(scale.size());
    return Tensor::from<float>(scale, count == 1 ? Shape{} : Shape{count});
  }

  void convolve(const Int8Node& node) {
    const bool linear = node.attributes.get<bool>("linear");
    if (exact()) return rescale_exactly(node, linear ? product(node) : convolution(node));
    if (on_codes() && linear) return multiply_integers(node);
    if (on_codes() && !node.format.real) return convolve_codes(node);
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
      add_real(node, "Conv", inputs, conv_attributes(node.attributes, node.weight_shape()));
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
    const auto constant = [&](const char* what, const Tensor& t) {
      return options_.int4 && node.weight_bits() == 4 ? model_.int4_constant(node.name + what, t)
                                                      : model_.constant(node.name + what, t);
    };
    return {constant("_weight", codes),
            model_.constant(node.name + "_weight_scale", node.weight_scale.reshape(shape)),
            constant("_weight_zero_point", Tensor::zeros(shape, DType::s8)), scales > 1};
  }

  // The bias as a real value: a constant, or integers behind a DequantizeLinear.
  std::string real_bias(const Int8Node& node, const Attributes& axis) {
    const Tensor steps = options_.bias == OnnxBias::int32
                             ? integer_bias(node, format(node.inputs[0]).scale)
                             : Tensor();
    if (steps.defined())
      return model_.add(
          "DequantizeLinear", node.name + "_bias_dequantized",
          {model_.constant(node.name + "_bias", steps),
           model_.constant(node.name + "_bias_scale",
                           by_channel(accumulator_scale(node, format(node.inputs[0]).scale)))},
          axis);
    if (options_.bias == OnnxBias::int32 && options_.notes != nullptr)
      options_.notes->push_back(
          str("'", printable(node.name), "' keeps a real bias: it has too many steps for 32 bits"));
    return model_.constant(node.name + "_bias", node.bias);
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
      const Tensor steps = integer_bias(node, format(node.inputs[0]).scale);
      if (!steps.defined())
        throw FormatError(str("ONNX: '", printable(node.name),
                              "' has a bias of too many steps for the 32 bits of QLinearConv"),
                          "use the form qdq, which keeps a real bias there");
      inputs.push_back(model_.constant(node.name + "_bias", steps));
    }
    clip(node, model_.add("QLinearConv", codes_name(node), inputs,
                          conv_attributes(node.attributes, node.weight_shape())));
  }

  // The accumulators of a linear layer.
  std::string product(const Int8Node& node) {
    const Value& x = value(node.inputs[0]);
    const std::string codes =
        model_.constant(node.name + "_weight", transposed(node.weight_codes()));
    return model_.add("MatMulInteger", node.name + "_accumulator", {x.codes, codes, x.zero_point});
  }

  // ONNX has no integer linear layer with a bias: accumulators, then the real epilogue.
  void multiply_integers(const Int8Node& node) {
    const std::string wide = to_float(product(node), node);
    const std::string scale =
        model_.constant(node.name + "_accumulator_scale",
                        by_channel(accumulator_scale(node, format(node.inputs[0]).scale)));
    if (!node.bias.defined()) return add_real(node, "Mul", {wide, scale});
    const std::string scaled = model_.add("Mul", node.name + "_product", {wide, scale});
    add_real(node, "Add", {scaled, model_.constant(node.name + "_bias", node.bias)});
  }

  // The accumulators of a convolution. Runtimes have ConvInteger for u8 alone.
  std::string convolution(const Int8Node& node) {
    const int input = node.inputs[0];
    const std::string& name = node.name;
    std::string x = value(input).codes, zero_point = value(input).zero_point;
    if (format(input).is_signed) {
      x = cast(x, onnx::TensorProto::INT32, name + "_integers");
      x = model_.add("Add", name + "_shifted", {x, model_.scalar<int32_t>(name + "_shift", 128)});
      x = cast(x, onnx::TensorProto::UINT8, name + "_unsigned");
      zero_point = model_.scalar<uint8_t>(name + "_unsigned_zero_point",
                                          static_cast<uint8_t>(format(input).zero_point + 128));
    }
    const std::string codes =
        model_.constant(name + "_weight", channels_first(node.weight_codes()));
    return model_.add("ConvInteger", name + "_accumulator", {x, codes, zero_point},
                      conv_attributes(node.attributes, node.weight_shape()));
  }

  // fma(float(accumulator), scale, bias): the product is exact in double precision.
  void rescale_exactly(const Int8Node& node, const std::string& accumulator) {
    const bool linear = node.attributes.get<bool>("linear");
    const auto constant = [&]<class T>(const char* what, const std::vector<T>& values) {
      const auto count = static_cast<int64_t>(values.size());
      const Shape shape = count == 1 ? Shape{} : linear ? Shape{count} : Shape{count, 1, 1};
      return model_.constant(node.name + what, Tensor::from<T>(values, shape));
    };
    const std::vector<float> steps = accumulator_scale(node, format(node.inputs[0]).scale);
    const std::string sum = to_float(accumulator, node);
    if (!node.bias.defined())
      return add_real(node, "Mul", {sum, constant("_accumulator_scale", steps)});
    const float* bias = node.bias.data<float>();
    const std::string scale =
        constant("_accumulator_scale", std::vector<double>(steps.begin(), steps.end()));
    const std::string wide = cast(sum, onnx::TensorProto::DOUBLE, node.name + "_wide_accumulator");
    const std::string scaled = model_.add("Mul", node.name + "_product", {wide, scale});
    const std::string biased = model_.add(
        "Add", node.name + "_sum",
        {scaled, constant("_bias", std::vector<double>(bias, bias + node.bias.numel()))});
    finish_real(node, cast(biased, onnx::TensorProto::FLOAT, node.name));
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
