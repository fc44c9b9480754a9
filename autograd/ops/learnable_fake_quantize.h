// Fake-quantization with learned scale and zero point.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// z = clamp(rne(zero_point), qmin, qmax),  v = rne(x / scale) + z (a product with 1 / scale),
// y = (clamp(v, qmin, qmax) - z) * scale.
// x any shape, f32 or f64; scale and zero_point of the same type, [1] or [] (axis -1) or [C] with C
// the size of dimension `axis`.
// Gradients: x gy where qmin <= v <= qmax, else 0 (straight-through);
//   scale: grad_factor * sum of gy * (qmin - z) below, gy * (qmax - z) above, gy * (y - x) / scale
//   inside; zero_point: grad_factor * sum of -gy * scale where v is outside.
// Per tensor these take z = trunc(clamp(zero_point + 0.5, qmin, qmax)), as the reference does: one
// more than in the forward for zero points below -0.5.
// Throws ShapeError, DTypeError, ConfigError (qmin >= qmax, axis; scale not positive and finite).
// Source: torch.ao _fake_quantize_learnable_per_tensor_affine and _per_channel_affine; Jain et al.,
// "Trained Quantization Thresholds" (2019), Esser et al., "Learned Step Size Quantization" (2019).
Variable learnable_fake_quantize(const Variable& x, const Variable& scale,
                                 const Variable& zero_point, int32_t qmin, int32_t qmax,
                                 int axis = -1, double grad_factor = 1.0);

}  // namespace stair::autograd
