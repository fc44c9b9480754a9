// From a prepared graph to one of quantize and dequantize nodes.
#pragma once

#include "nn/graph/graph.h"

namespace stair::qat {

// Every operation between a dequantize node before and a quantize node behind it, weights as
// integer buffers, everything that stayed float as it was; a GraphModule runs it, in evaluation
// mode. Where an operation with an integer kernel reads a dequantize node, that hands the integers
// on as the real numbers they stand for (attribute "codes"), so that the result is that of the
// prepared graph and of the int8 engine, bit for bit. Also networks that the engine cannot run have
// this form. The prepared graph is not changed.
//
// Throws ConfigError naming the node when a tensor has no scale yet ("calibrate first") or its
// quantizer has no integer form.
nn::Graph convert_qdq(const nn::Graph& prepared);

}  // namespace stair::qat
