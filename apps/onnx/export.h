// Networks as ONNX files. Pictures enter as "input" [N,3,H,W] f32, prepared as the facts of the
// file say (mean, std, sizes); "logits" leave. The batch is free; NHWC tensors are turned to NCHW.
#pragma once

#include <string>
#include <vector>

#include "nn/graph/graph.h"
#include "qat/int8/graph.h"

namespace stair::apps {

// qdq        float operations between DequantizeLinear and QuantizeLinear: what runtimes and
//            compilers look for
// qoperator  QLinearConv, MatMulInteger, and the rest on codes where ONNX has such an operation
// exact      integers and single float operations that are those of the engine, in its order: the
//            same codes bit for bit (but where a double rounding of a sum decides, once in 2^29),
//            slower in runtimes
enum class OnnxForm { qdq, qoperator, exact };
enum class OnnxBias { int32, real };

struct OnnxOptions {
  OnnxForm form = OnnxForm::qdq;
  // int32: rounded to steps of x_scale * weight_scale, which integer convolutions of runtimes ask
  // for. A layer whose bias has too many steps for that keeps a real one in the form qdq.
  OnnxBias bias = OnnxBias::int32;
  // Weights of 4 bits as INT4 instead of INT8: half the file. Of the form qdq from operator set 21.
  bool int4 = false;
  int64_t opset = 13;
  std::vector<std::string>* notes = nullptr;  // receives a line for each layer with another bias
};

// The bytes of the file. Codes of a node "a" are the tensor "a_quantized"; a fused ReLU or ReLU6
// is the saturation of its QuantizeLinear or, where the codes stop inside of the type's range, a
// Clip of codes behind it. Weights keep zero point 0. Throws FormatError naming a node that ONNX
// cannot express, ConfigError for options that contradict each other.
std::string to_onnx(const qat::Int8Graph& graph, const OnnxOptions& options = {});

// A float network as captured, batch norm included, as it evaluates; tensors have the names of
// their nodes. Throws FormatError naming an operation that has no ONNX form.
std::string to_onnx(const nn::Graph& graph, const Attributes& metadata,
                    const std::vector<std::string>& class_names, int64_t opset = 13);

}  // namespace stair::apps
