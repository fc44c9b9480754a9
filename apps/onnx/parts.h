// What the exports share: NCHW, weights O I KH KW, attributes by ONNX's names.
#pragma once

#include <vector>

#include "apps/onnx/onnx_model.h"
#include "qat/int8/graph.h"

namespace stair::apps {

Tensor channels_first(const Tensor& weight);  // O KH KW I -> O I KH KW
Tensor transposed(const Tensor& weight);      // s8 O I -> I O

// From those of pooling and of a convolution in autograd/op.h.
Attributes window_attributes(const Attributes& pool);
Attributes average_attributes(const Attributes& pool);
Attributes conv_attributes(const Attributes& conv, const Shape& weight);

// The axis of pictures N C H W that is `axis` of N H W C.
int64_t axis_channels_first(int64_t axis);
// Adds pictures as N H W C, and returns their name. Features of more than one pixel stand in this
// order here.
std::string add_channels_last(OnnxModel& model, const std::string& name, const std::string& x);

// Adds the elementwise operation `function` of autograd/op.h and returns the result's name: empty
// when the operator sets that are written have none.
std::string add_function(OnnxModel& model, const std::string& function,
                         const Attributes& attributes, const std::string& x,
                         const std::string& result);

void add_facts(OnnxModel& model, const Attributes& metadata,
               const std::vector<std::string>& class_names);

// Negative where the graph leaves a dimension open.
std::vector<int64_t> input_shape(const qat::Int8Graph& graph);
std::vector<int64_t> output_shape(const qat::Int8Graph& graph);

// What one step of a layer's accumulator is worth, by channel or one.
std::vector<float> accumulator_scale(const qat::Int8Node& conv, float x_scale);
// The bias in these steps; undefined when a sum could leave 32 bits.
Tensor integer_bias(const qat::Int8Node& conv, float x_scale);

}  // namespace stair::apps
