// What softmax and log_softmax share.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// Softmax over the last dimension, or its logarithm, with the record named `op`.
Variable softmax_rows(const char* op, const Variable& x, bool log);

}  // namespace stair::autograd
