// Reads ONNX models in QDQ form, our own and those of other programs, to compare what they say.
#pragma once

#include <onnx/onnx_pb.h>

#include <map>
#include <string>

#include "qat/int8/graph.h"

namespace stair::apps {

onnx::ModelProto parse_onnx(const std::string& bytes);
std::map<std::string, int64_t> node_counts(const onnx::ModelProto& model);
// The elements of a constant. Throws FormatError when there is none of that name.
Tensor constant_of(const onnx::ModelProto& model, const std::string& name);

// The integer network that the model stands for. Each node is called as the tensor of its codes, or
// of its real numbers. Knows Conv, Gemm, Add, Relu, GlobalAveragePool, Flatten; weights are integer
// constants, or real ones that pass through QuantizeLinear; constants may pass Identity and Cast.
// Throws FormatError for anything else.
qat::Int8Graph read_qdq(const onnx::ModelProto& model);

}  // namespace stair::apps
