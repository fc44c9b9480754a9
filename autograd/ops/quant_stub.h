// Marks where the quantized part of a network begins.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = x, integers as they are. Gradient: gy.
Variable quant_stub(const Variable& x);

}  // namespace stair::autograd
