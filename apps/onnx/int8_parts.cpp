#include "apps/onnx/int8_parts.h"

#include <cmath>
#include <limits>

namespace stair::apps {

using List = std::vector<int64_t>;
using qat::Int8Graph;
using qat::Int8Node;

Tensor channels_first(const Tensor& weight) {
  const int64_t o = weight.size(0), window = weight.size(1) * weight.size(2);
  const int64_t channels = weight.size(3);
  Tensor result = Tensor::empty({o, channels, weight.size(1), weight.size(2)}, weight.dtype());
  const int8_t* from = weight.data<int8_t>();
  for (int64_t i = 0; i < o; ++i)
    for (int64_t p = 0; p < window; ++p)
      for (int64_t c = 0; c < channels; ++c)
        result.data<int8_t>()[(i * channels + c) * window + p] = *from++;
  return result;
}

Tensor transposed(const Tensor& weight) {
  Tensor result = Tensor::empty({weight.size(1), weight.size(0)}, weight.dtype());
  for (int64_t i = 0; i < weight.size(0); ++i)
    for (int64_t k = 0; k < weight.size(1); ++k)
      result.data<int8_t>()[k * weight.size(0) + i] = weight.data<int8_t>()[i * weight.size(1) + k];
  return result;
}

Attributes window_attributes(const Int8Node& pool) {
  return {{"kernel_shape", pool.attributes.get<List>("kernel")},
          {"strides", pool.attributes.get<List>("stride")},
          {"pads", pool.attributes.get<List>("padding")}};
}

Attributes conv_attributes(const Int8Node& conv) {
  const Attributes& a = conv.attributes;
  return {{"kernel_shape", List{conv.weight_shape()[1], conv.weight_shape()[2]}},
          {"strides", a.get<List>("stride")},
          {"pads", a.get<List>("padding")},
          {"dilations", a.get<List>("dilation")},
          {"group", a.get<int64_t>("groups")}};
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
