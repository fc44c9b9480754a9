// The scales of a deployed network as JSON, for other tools.
#pragma once

#include "core/json.h"
#include "qat/int8/graph.h"

namespace stair::qat {

// The encodings file of AIMET (version 0.6.1), a list of encodings a tensor, one for each channel
// that has its own:
//   activation_encodings  the codes that each node yields, by the node's name
//   param_encodings       "<node>.weight" and "<node>.bias"
// An encoding is {bitwidth, dtype "int", is_symmetric "True" or "False", scale, offset, min, max};
// the code c, counted from 0, stands for (c + offset) * scale. Ours add zero_point, qmin and qmax:
// the code q as our files hold it stands for (q - zero_point) * scale, q from qmin (where a fused
// ReLU cuts, above the type's least) to qmax. Biases are s8 codes of one scale, or whole steps of
// the accumulator, 32 bits, unless the network holds real ones. No quantized tensor is left out;
// two nodes of one name are an error. Throws FormatError.
Json encodings(const Int8Graph& graph);

}  // namespace stair::qat
