// What the pooling operations share: their options and the check of their shapes.
#pragma once

#include <array>

#include "autograd/variable.h"
#include "kernels/pool/pool.h"

namespace stair::autograd {

struct Pool2dOptions {
  std::array<int64_t, 2> kernel = {2, 2};         // down, right
  std::array<int64_t, 2> stride = {2, 2};         // down, right
  std::array<int64_t, 4> padding = {0, 0, 0, 0};  // top, left, bottom, right; less than the kernel
  bool count_include_pad = true;  // average only: whether padding counts as elements
};

// The kernels' shape for x [N,H,W,C]. Throws ShapeError when the window does not fit.
kernels::PoolShape pool_shape(const char* op, const Variable& x, const Pool2dOptions& options);

// Options as attributes of a record, and back.
Attributes pool_attributes(const Pool2dOptions& options);
Pool2dOptions pool_options(const char* op, const Attributes& attributes);

// avg_pool2d without checks: y, and the record named `op`.
Variable average(const char* op, const Variable& x, const kernels::PoolShape& shape,
                 const Attributes& attributes);

}  // namespace stair::autograd
