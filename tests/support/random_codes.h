// Quantized tensors of random integers.
#pragma once

#include "core/tensor.h"

namespace stair::test {

// Integers over the whole range of `qparams`, the same for the same seed. dtype u8, s8 or s32.
Tensor random_codes(const Shape& shape, DType dtype, const QParams& qparams, uint64_t seed);

// One scale for the tensor.
QParams per_tensor(float scale, int32_t zero_point, int32_t qmin, int32_t qmax);
// Scales 0.01, 0.02, ... for the channels of `axis`, zero point 0, range -128 to 127.
QParams symmetric_channels(int64_t channels, int axis);

}  // namespace stair::test
