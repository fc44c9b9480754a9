#include "qat/int8/encodings.h"

#include <cmath>

#include "core/error.h"
#include "core/text.h"

namespace stair::qat {
namespace {

// The fewest bits that hold codes from lo to hi of a type.
int bits_of(bool is_signed, int32_t lo, int32_t hi) {
  int bits = 2;
  const auto fits = [&] {
    return is_signed ? lo >= -(1 << (bits - 1)) && hi < 1 << (bits - 1) : hi < 1 << bits;
  };
  while (!fits()) ++bits;
  return bits;
}

// Codes from qmin to qmax of `bits` bits around the zero point.
Json encoding(int bits, bool is_signed, float scale, int64_t zero_point, int64_t qmin,
              int64_t qmax) {
  const int64_t least = is_signed ? -(int64_t{1} << (bits - 1)) : 0;
  const int64_t offset = least - zero_point, steps = (int64_t{1} << bits) - 1;
  Json j = Json::object();
  j.set("bitwidth", bits);
  j.set("dtype", "int");
  j.set("is_symmetric", offset == -(int64_t{1} << (bits - 1)) ? "True" : "False");
  j.set("scale", scale);
  j.set("offset", offset);
  j.set("min", static_cast<double>(offset) * static_cast<double>(scale));
  j.set("max", static_cast<double>(offset + steps) * static_cast<double>(scale));
  j.set("zero_point", zero_point);
  j.set("qmin", qmin);
  j.set("qmax", qmax);
  return j;
}

Json activation(const Int8Format& f) {
  const int bits = bits_of(f.is_signed, f.lo, f.hi);
  return Json::array().push_back(encoding(bits, f.is_signed, f.scale, f.zero_point, f.lo, f.hi));
}

Json weight(const Int8Node& node) {
  const int bits = node.weight_bits();
  const int64_t half = int64_t{1} << (bits - 1);
  Json channels = Json::array();
  for (int64_t c = 0; c < node.weight_scale.numel(); ++c)
    channels.push_back(
        encoding(bits, true, node.weight_scale.data<float>()[c], 0, -half, half - 1));
  return channels;
}

// s8 codes, or steps of the accumulator, x_scale * weight_scale of the channel, where all values
// are whole ones.
Json bias(const Int8Node& node, const Int8Format& x) {
  constexpr int64_t kMost = INT32_MAX;
  Json channels = Json::array();
  if (node.attributes.has("bias_scale"))
    return channels.push_back(encoding(
        8, true, static_cast<float>(node.attributes.get<double>("bias_scale")), 0, -128, 127));
  for (int64_t c = 0; c < node.bias.numel(); ++c) {
    const float scale =
        x.scale * node.weight_scale.data<float>()[node.weight_scale.numel() == 1 ? 0 : c];
    const double value = static_cast<double>(node.bias.data<float>()[c]);
    const double steps = std::nearbyint(value / static_cast<double>(scale));
    const bool whole = std::abs(steps) <= static_cast<double>(kMost) &&
                       static_cast<float>(steps) * scale == node.bias.data<float>()[c];
    if (!whole)
      return Json::array().push_back(Json::object().set("bitwidth", 32).set("dtype", "float"));
    channels.push_back(encoding(32, true, scale, 0, -kMost - 1, kMost));
  }
  return channels;
}

void add(Json& encodings, const std::string& name, Json list) {
  if (encodings.find(name) != nullptr)
    throw FormatError(str("encodings: two tensors are called ", in_quotes(name)),
                      "give the layers names of their own");
  encodings.set(name, std::move(list));
}

}  // namespace

Json encodings(const Int8Graph& graph) {
  Json activations = Json::object(), parameters = Json::object();
  for (const Int8Node& node : graph.nodes) {
    const std::string name = printable(node.name, SIZE_MAX);
    if (!node.format.real) add(activations, name, activation(node.format));
    if (!node.weight.defined()) continue;
    add(parameters, name + ".weight", weight(node));
    const Int8Format& x = graph.nodes[static_cast<size_t>(node.inputs.at(0))].format;
    if (node.bias.defined() && !x.real) add(parameters, name + ".bias", bias(node, x));
  }
  return Json::object()
      .set("version", "0.6.1")
      .set("activation_encodings", std::move(activations))
      .set("param_encodings", std::move(parameters));
}

}  // namespace stair::qat
