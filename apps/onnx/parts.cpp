#include "apps/onnx/parts.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "core/json.h"
#include "core/text.h"

namespace stair::apps {

using List = std::vector<int64_t>;
using qat::Int8Graph;
using qat::Int8Node;

Tensor channels_first(const Tensor& weight) {
  const int64_t o = weight.size(0), window = weight.size(1) * weight.size(2);
  const int64_t channels = weight.size(3);
  Tensor result = Tensor::empty({o, channels, weight.size(1), weight.size(2)}, weight.dtype());
  const size_t size = weight.bytes() / static_cast<size_t>(weight.numel());
  const std::byte* from = weight.raw();
  for (int64_t i = 0; i < o; ++i)
    for (int64_t p = 0; p < window; ++p)
      for (int64_t c = 0; c < channels; ++c, from += size)
        std::memcpy(result.raw() + static_cast<size_t>((i * channels + c) * window + p) * size,
                    from, size);
  return result;
}

Tensor transposed(const Tensor& weight) {
  Tensor result = Tensor::empty({weight.size(1), weight.size(0)}, weight.dtype());
  for (int64_t i = 0; i < weight.size(0); ++i)
    for (int64_t k = 0; k < weight.size(1); ++k)
      result.data<int8_t>()[k * weight.size(0) + i] = weight.data<int8_t>()[i * weight.size(1) + k];
  return result;
}

Attributes window_attributes(const Attributes& pool) {
  return {{"kernel_shape", pool.get<List>("kernel")},
          {"strides", pool.get<List>("stride")},
          {"pads", pool.get<List>("padding")}};
}

Attributes average_attributes(const Attributes& pool) {
  Attributes window = window_attributes(pool);
  if (pool.has("count_include_pad"))
    window.set("count_include_pad", int64_t{pool.get<bool>("count_include_pad")});
  return window;
}

int64_t axis_channels_first(int64_t axis) {
  constexpr int64_t kPlaces[] = {0, 2, 3, 1};
  return axis > 3 ? axis : kPlaces[axis];
}

std::string add_channels_last(OnnxModel& model, const std::string& name, const std::string& x) {
  return model.add("Transpose", name + "_nhwc", {x}, {{"perm", List{0, 2, 3, 1}}});
}

Attributes conv_attributes(const Attributes& conv, const Shape& weight) {
  return {{"kernel_shape", List{weight[1], weight[2]}},
          {"strides", conv.get<List>("stride")},
          {"pads", conv.get<List>("padding")},
          {"dilations", conv.get<List>("dilation")},
          {"group", conv.get<int64_t>("groups")}};
}

std::string add_function(OnnxModel& model, const std::string& function,
                         const Attributes& attributes, const std::string& x,
                         const std::string& result) {
  const Attributes sixth = {{"alpha", 1.0 / 6}, {"beta", 0.5}};
  if (function == "relu") return model.add("Relu", result, {x});
  if (function == "sigmoid") return model.add("Sigmoid", result, {x});
  if (function == "tanh") return model.add("Tanh", result, {x});
  if (function == "hardsigmoid") return model.add("HardSigmoid", result, {x}, sixth);
  if (function == "leaky_relu")
    return model.add("LeakyRelu", result, {x}, {{"alpha", attributes.get<double>("slope")}});
  if (function == "relu6")
    return model.add("Clip", result,
                     {x, model.scalar<float>(result + "_lowest", 0),
                      model.scalar<float>(result + "_highest", 6)});
  if (function == "silu")
    return model.add("Mul", result, {x, model.add("Sigmoid", result + "_factor", {x})});
  if (function == "hardswish")
    return model.add("Mul", result, {x, model.add("HardSigmoid", result + "_factor", {x}, sixth)});
  return "";
}

void add_facts(OnnxModel& model, const Attributes& metadata,
               const std::vector<std::string>& class_names) {
  for (const auto& [key, fact] : metadata) model.add_fact(key, stair::to_string(fact));
  model.add_fact("input_layout", "NCHW, RGB, (pixel / 255 - mean) / std");
  if (class_names.empty()) return;
  Json names = Json::array();
  for (const std::string& name : class_names) names.push_back(printable(name, SIZE_MAX));
  model.add_fact("class_names", names.dump());
}

List input_shape(const Int8Graph& graph) {
  const Attributes& m = graph.metadata;
  const int64_t size = m.has("crop_size") ? m.get<int64_t>("crop_size") : -1;
  int64_t channels = -1;
  for (const Int8Node& node : graph.nodes) {
    if (node.op == "pad_channels") break;
    if (node.op != "conv") continue;
    if (!node.attributes.get<bool>("linear"))
      channels = node.weight_shape()[3] * node.attributes.get<int64_t>("groups");
    break;
  }
  return {-1, channels, size, size};
}

List output_shape(const Int8Graph& graph) {
  const Int8Node& last = graph.nodes.back();
  const bool conv = last.op == "conv";
  const int64_t features = conv ? last.weight_shape()[0] : -1;
  if (last.op == "flatten" || (conv && last.weight_shape().rank() == 2)) return {-1, features};
  return {-1, features, -1, -1};
}

std::vector<float> accumulator_scale(const Int8Node& conv, float x_scale) {
  const float* ws = conv.weight_scale.data<float>();
  std::vector<float> scale(ws, ws + conv.weight_scale.numel());
  for (float& s : scale) s *= x_scale;
  return scale;
}

Tensor integer_bias(const Int8Node& conv, float x_scale) {
  const std::vector<float> scale = accumulator_scale(conv, x_scale);
  const int64_t o = conv.weight_shape()[0];
  const double most = std::numeric_limits<int32_t>::max() -
                      static_cast<double>(conv.weight_shape().numel() / o) * 255 * 128;
  Tensor steps = Tensor::empty({o}, DType::s32);
  for (int64_t c = 0; c < o; ++c) {
    const double exact = static_cast<double>(conv.bias.data<float>()[c]) /
                         static_cast<double>(scale[scale.size() == 1 ? 0 : static_cast<size_t>(c)]);
    if (!(std::abs(exact) <= most)) return {};
    steps.data<int32_t>()[c] = static_cast<int32_t>(std::nearbyint(exact));
  }
  return steps;
}

}  // namespace stair::apps
