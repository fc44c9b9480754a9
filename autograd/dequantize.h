// The real numbers that a quantized tensor stands for.
#pragma once

#include "autograd/variable.h"
#include "kernels/quantize/quantize.h"

namespace stair::autograd {

// How the channels of `axis` lie in a tensor of this shape; axis -1: one channel.
kernels::ChannelLayout channel_layout(const Shape& shape, int axis);

// (q - zero_point) * scale in f32; a float tensor is returned as it is.
Tensor dequantize(const Tensor& q);

}  // namespace stair::autograd
