// From a prepared graph to the deployed integers.
#pragma once

#include "nn/graph/graph.h"
#include "qat/int8/graph.h"

namespace stair::qat {

// The integer network that computes what the prepared graph computes in evaluation mode, bit for
// bit. The prepared graph is not changed. Throws ConfigError naming the node when a tensor has no
// scale yet ("calibrate first") or an operation has no integer form.
Int8Graph convert(const nn::Graph& prepared);

}  // namespace stair::qat
