// Searching for NaN and infinity.
#pragma once

#include <span>

#include "core/safetensors.h"
#include "core/tensor.h"

namespace stair::nn {

// Index of the first element that is NaN or infinite, -1 when there is none. Integers are always
// finite.
int64_t first_non_finite(const Tensor& t);

// Throws NumericsError naming the first tensor with a NaN or infinity, its index and value. `what`
// names the whole in messages.
void require_finite(const std::string& what, std::span<const NamedTensor> tensors,
                    const std::string& hint = "");

}  // namespace stair::nn
