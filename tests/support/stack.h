// Tensors of several steps as golden cases keep them: stacked along dimension 0.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace stair::test {

// Tensors of one shape and type, as [steps, ...].
Tensor stack(const std::vector<Tensor>& steps);
// The tensor of one step of such a stack.
Tensor step_of(const Tensor& stacked, int64_t step);

}  // namespace stair::test
