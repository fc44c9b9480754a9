#include "qat/int8/graph.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/packed_codes.h"
#include "core/text.h"
#include "qat/int8/float_node.h"

namespace stair::qat {

bool same_grid(const Int8Format& a, const Int8Format& b) {
  return !a.real && !b.real && a.is_signed == b.is_signed && a.scale == b.scale &&
         a.zero_point == b.zero_point;
}

namespace {

struct OpRule {
  const char* op;
  size_t inputs;
  bool keeps_format;
};
constexpr size_t kAnyInputs = SIZE_MAX;  // at least one
constexpr std::array<OpRule, 13> kOps = {{{"input", 0, false},
                                          {"quantize", 1, false},
                                          {"conv", 1, false},
                                          {"add", 2, false},
                                          {"mul", 2, false},
                                          {"concat", kAnyInputs, false},
                                          {"table", 1, false},
                                          {"float", kAnyInputs, false},
                                          {kDynamicLinear, 1, false},
                                          {"max_pool", 1, true},
                                          {"avg_pool", 1, false},
                                          {"pad_channels", 1, true},
                                          {"flatten", 1, true}}};

const OpRule& rule_of(const Int8Node& node) {
  for (const OpRule& rule : kOps)
    if (node.op == rule.op) return rule;
  throw FormatError(
      str("int8 graph: node '", node.name, "': no operation is called '", node.op, "'"),
      "the file may come from a newer version");
}

void check_format(const Int8Node& node) {
  const Int8Format& f = node.format;
  if (f.real) return;
  const int32_t low = f.is_signed ? -128 : 0, high = f.is_signed ? 127 : 255;
  if (!(f.scale > 0) || !std::isfinite(f.scale))
    throw FormatError(
        str("int8 graph: node '", node.name, "': scale ", f.scale, " is not positive and finite"));
  if (f.zero_point < low || f.zero_point > high || f.lo < low || f.hi > high || f.lo > f.hi)
    throw FormatError(str("int8 graph: node '", node.name, "': zero point ", f.zero_point,
                          " or codes [", f.lo, ",", f.hi, "] outside [", low, ",", high, "]"));
}

// Codes of a byte each, or rows of packed codes whose last bytes end in zeros.
void check_weight(const Int8Node& node) {
  const auto fail = [&](const std::string& what) {
    throw FormatError(str("int8 graph: node '", node.name, "': ", what));
  };
  if (!node.weight.defined()) fail("conv without weights");
  if (!node.attributes.has("weight_bits")) {
    if (node.weight.shape().rank() < 1) fail(str("weights ", node.weight));
    if (node.weight.dtype() != DType::s8) fail(str("weights ", node.weight, ", expected s8"));
    return;
  }
  const int64_t bits = node.attributes.get<int64_t>("weight_bits");
  if (bits != 2 && bits != 4) fail(str("weight_bits ", bits, ", expected 2 or 4"));
  const Shape w = node.weight_shape();
  int64_t k = w.rank() > 1 ? 1 : 0;
  for (int i = 0; i < w.rank(); ++i) {
    if (w[i] < 1 || w[i] > (1 << 24)) fail(str("weight_shape ", w));
    if (i > 0) k = std::min<int64_t>(k * w[i], int64_t{1} << 32);
  }
  const int64_t row = packed_bytes(k, static_cast<int>(bits));
  if (k == 0 || node.weight.dtype() != DType::u8 || node.weight.shape() != Shape{w[0], row})
    fail(str("packed weights ", node.weight, ", expected u8 [", w.rank() > 0 ? w[0] : 0, ",", row,
             "] for ", bits, " bits of ", w));
  const int used = static_cast<int>(k * bits % 8);
  for (int64_t o = 0; used != 0 && o < w[0]; ++o)
    if (node.weight.data<uint8_t>()[(o + 1) * row - 1] >> used != 0)
      fail(str("packed weights of channel ", o, " have bits behind their last code"));
}

void check_scales(const Int8Node& node) {
  const auto fail = [&](const std::string& what) {
    throw FormatError(str("int8 graph: node '", node.name, "': ", what));
  };
  const int64_t o = node.weight_shape()[0];
  const Tensor& scale = node.weight_scale;
  if (!scale.defined() || scale.dtype() != DType::f32 || (scale.numel() != 1 && scale.numel() != o))
    fail(str("weight scales ", scale, " for ", o, " channels"));
  for (int64_t c = 0; c < scale.numel(); ++c)
    if (!(scale.data<float>()[c] > 0) || !std::isfinite(scale.data<float>()[c]))
      fail(str("scale ", scale.data<float>()[c], " of channel ", c, " is not positive and finite"));
}

void check_conv(const Int8Node& node) {
  const auto fail = [&](const std::string& what) {
    throw FormatError(str("int8 graph: node '", node.name, "': ", what));
  };
  check_weight(node);
  const bool linear = node.attributes.get<bool>("linear");
  const Shape w = node.weight_shape();
  if (w.rank() != (linear ? 2 : 4)) fail(str("weights ", w, " have the wrong rank"));
  const int64_t o = w[0];
  check_scales(node);
  if (node.op == kDynamicLinear && !linear) fail("is no linear layer");
  if (node.bias.defined() && (node.bias.dtype() != DType::f32 || node.bias.shape() != Shape{o}))
    fail(str("bias ", node.bias, " for ", o, " channels"));
  if (node.attributes.has("bias_scale") && !(node.attributes.get<double>("bias_scale") > 0))
    fail(str("bias_scale ", node.attributes.get<double>("bias_scale")));
  if (linear) return;
  const auto list = [&](const char* key, size_t count, int64_t least) {
    const auto& values = node.attributes.get<std::vector<int64_t>>(key);
    if (values.size() != count)
      fail(str("attribute '", key, "' has ", values.size(), " values, expected ", count));
    for (int64_t v : values)
      if (v < least || v > (1 << 16)) fail(str("attribute '", key, "' is ", v));
  };
  list("stride", 2, 1);
  list("dilation", 2, 1);
  list("padding", 4, 0);
  const int64_t groups = node.attributes.get<int64_t>("groups");
  if (groups < 1 || o % groups != 0)
    fail(str("groups ", groups, " do not divide ", o, " channels"));
}

void check_table(const Int8Node& node) {
  const std::string& function = node.attributes.get<std::string>("function");
  if (!is_table_function(function))
    throw FormatError(str("int8 graph: node '", node.name, "': no function is called '",
                          printable(function), "'"),
                      "the file may come from a newer version");
  if (function == "leaky_relu") (void)node.attributes.get<double>("slope");
}

}  // namespace

bool is_table_function(const std::string& name) {
  constexpr std::array kNames = {"hardswish", "hardsigmoid", "sigmoid",   "tanh",
                                 "silu",      "gelu",        "leaky_relu"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

void Int8Node::store_weight(const Tensor& codes, int32_t qmin, int32_t qmax) {
  weight = codes.clone();
  const int bits = qmin >= -2 && qmax <= 1 ? 2 : qmin >= -8 && qmax <= 7 ? 4 : 8;
  if (bits == 8) return;
  const int64_t o = codes.size(0), k = codes.numel() / o, row = packed_bytes(k, bits);
  weight = Tensor::empty({o, row}, DType::u8);
  for (int64_t i = 0; i < o; ++i)
    pack_codes(codes.data<int8_t>() + i * k, k, bits, weight.data<uint8_t>() + i * row);
  attributes.set("weight_bits", int64_t{bits});
  attributes.set("weight_shape", codes.shape().dims());
}

void Int8Node::store_weight(const Tensor& codes) {
  const QParams& p = codes.qparams();
  store_weight(codes, p.qmin, p.qmax);
  weight_scale = Tensor::from<float>(p.scale, {static_cast<int64_t>(p.scale.size())});
}

int Int8Node::weight_bits() const {
  return attributes.has("weight_bits") ? static_cast<int>(attributes.get<int64_t>("weight_bits"))
                                       : 8;
}

Shape Int8Node::weight_shape() const {
  return attributes.has("weight_bits") ? Shape(attributes.get<std::vector<int64_t>>("weight_shape"))
                                       : weight.shape();
}

Tensor Int8Node::weight_codes() const {
  const int bits = weight_bits();
  if (bits == 8) return weight;
  const Shape shape = weight_shape();
  Tensor codes = Tensor::empty(shape, DType::s8);
  const int64_t o = shape[0], k = codes.numel() / o, row = weight.size(1);
  for (int64_t i = 0; i < o; ++i)
    unpack_codes(weight.data<uint8_t>() + i * row, k, bits, codes.data<int8_t>() + i * k);
  return codes;
}

void Int8Graph::validate() const {
  if (nodes.empty() || nodes[0].op != "input")
    throw FormatError("int8 graph: the first node is no input");
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Int8Node& node = nodes[i];
    const OpRule& rule = rule_of(node);
    if (rule.inputs == kAnyInputs ? node.inputs.empty() : node.inputs.size() != rule.inputs)
      throw FormatError(str("int8 graph: node '", node.name, "' (", node.op, ") has ",
                            node.inputs.size(), " inputs, expected ",
                            rule.inputs == kAnyInputs ? "one or more" : str(rule.inputs)));
    for (int input : node.inputs) {
      if (input < 0 || input >= static_cast<int>(i))
        throw FormatError(str("int8 graph: node '", node.name, "' reads node ", input,
                              ", which is no earlier node"));
      const Int8Format& from = nodes[static_cast<size_t>(input)].format;
      const bool any = node.op == "quantize" || node.op == "float";
      if (!any && from.real != (node.op == kDynamicLinear))
        throw FormatError(str("int8 graph: node '", node.name, "' (", node.op, ") cannot read ",
                              from.real ? "real numbers" : "codes"));
      if (rule.keeps_format && !same_grid(node.format, from))
        throw FormatError(str("int8 graph: node '", node.name, "' (", node.op,
                              ") must keep the format of its input"));
    }
    const bool may_be_real = node.op == "input" || node.op == "conv";
    const bool is_real = node.op == "float" || node.op == kDynamicLinear;
    if (node.format.real ? !may_be_real && !is_real : is_real)
      throw FormatError(str("int8 graph: node '", node.name, "' (", node.op, ") cannot yield ",
                            node.format.real ? "real numbers" : "codes"));
    check_format(node);
    if (node.op == "conv" || node.op == kDynamicLinear) check_conv(node);
    if (node.op == "float") {
      check_float(node);
      if (node.weight.defined()) check_weight(node);
      if (node.weight.defined()) check_scales(node);
    }
    if (node.op == "concat" && node.attributes.get<int64_t>("axis") < 1)
      throw FormatError(str("int8 graph: node '", node.name, "': axis ",
                            node.attributes.get<int64_t>("axis"), ", expected at least 1"));
    if (node.op == "table") check_table(node);
  }
}

std::string to_string(const Int8Graph& graph) {
  std::string text;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Int8Node& node = graph.nodes[i];
    text += str('%', i, " = ", node.op, '(');
    for (size_t k = 0; k < node.inputs.size(); ++k) text += str(k ? ", %" : "%", node.inputs[k]);
    text += ')';
    if (node.weight.defined())
      text += str(" weight ", node.weight_shape(), " s", node.weight_bits());
    for (const auto& [key, value] : node.attributes)
      if (!key.starts_with("weight_")) text += str(' ', key, '=', stair::to_string(value));
    const Int8Format& f = node.format;
    text += f.real ? std::string(" -> f32")
                   : str(" -> ", f.is_signed ? "s8" : "u8", " scale ", f.scale, " zero_point ",
                         f.zero_point, " codes [", f.lo, ',', f.hi, ']');
    text += str("  # ", node.name, '\n');
  }
  return text;
}

}  // namespace stair::qat
