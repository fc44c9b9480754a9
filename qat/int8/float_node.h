// Nodes of an Int8Graph that compute on real numbers: what no integer operation expresses, and what
// was left float.
#pragma once

#include <span>

#include "qat/int8/graph.h"

namespace stair::qat {

// Whether operation `name` of autograd/op.h may be a float node.
bool is_float_operation(const std::string& name);

// Throws FormatError naming the node: an unknown operation, inputs that are not as many as it takes
// or come from nowhere, weights that are none.
void check_float(const Int8Node& node);

// The operation on these inputs, codes with QParams or f32, as evaluation runs it; f32. Weights of
// codes are made real for this call alone. The result has the same bits on one instruction set.
Tensor run_float(const Int8Node& node, std::span<const Tensor> inputs);

// y = fmaf(float(acc), sx * sw[o], b[o]), where x, f32 [N,I], is quantized to u8 with the range of
// its own values: the parameters of qparams_of, affine, for [0, 255].
inline constexpr char kDynamicLinear[] = "dynamic_linear";
QParams dynamic_qparams(const Tensor& x);

}  // namespace stair::qat
