// Rounds floats onto the grid of a quantizer, with the straight-through gradient.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// y = (clamp(rne(x * inv_scale) + zero_point, qmin, qmax) - zero_point) * scale, as quantize
// followed by dequantize; any integer range. x any shape, f32 or f64, y the same. Gradient
// (straight-through): gy where the integer before the clamp is in [qmin, qmax], else 0. Exact; the
// bits of torch.fake_quantize_per_tensor_affine and _per_channel_affine. Throws DTypeError,
// ShapeError, ConfigError as quantize does.
Variable fake_quantize(const Variable& x, const QParams& qparams);

}  // namespace stair::autograd
