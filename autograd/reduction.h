// How a loss combines its rows.
#pragma once

#include <cstdint>

namespace stair::autograd {

enum class Reduction : uint8_t { mean, sum, none };

}  // namespace stair::autograd
