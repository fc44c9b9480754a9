// Parts of an int8 graph as ONNX has them: NCHW, weights O I KH KW, attributes by ONNX's names.
#pragma once

#include <vector>

#include "core/attributes.h"
#include "qat/int8/graph.h"

namespace stair::apps {

Tensor channels_first(const Tensor& weight);  // s8 O KH KW I -> O I KH KW
Tensor transposed(const Tensor& weight);      // s8 O I -> I O

Attributes window_attributes(const qat::Int8Node& pool);
Attributes conv_attributes(const qat::Int8Node& conv);

// Negative where the graph leaves a dimension open.
std::vector<int64_t> input_shape(const qat::Int8Graph& graph);
std::vector<int64_t> output_shape(const qat::Int8Graph& graph);

// What one step of a layer's accumulator is worth, by channel or one.
std::vector<float> accumulator_scale(const qat::Int8Node& conv, float x_scale);
// The bias in these steps; undefined when a sum could leave 32 bits.
Tensor integer_bias(const qat::Int8Node& conv, float x_scale);

}  // namespace stair::apps
