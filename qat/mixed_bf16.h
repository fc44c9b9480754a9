// Real numbers between integers, in bf16.
#pragma once

#include "nn/graph/graph.h"

namespace stair::qat {

// A prepared graph whose real values are rounded to bf16 (autograd/ops/bfloat16.h): what layers of
// integers yield where no quantizer takes it, what operations on real numbers yield, and what those
// read, integers made real, and weights and biases of convolutions and linear layers among them.
// The network's input and what goes from integers into a quantizer stay as they are. Sums and
// functions are computed in f32 in between, and values are kept as f32. Source: torch's x86
// Inductor backend under autocast (int8-mixed-bf16).
nn::Graph mixed_bf16(const nn::Graph& prepared);

}  // namespace stair::qat
