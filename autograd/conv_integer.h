// The integer forward that convolution and linear layers share, and their backward: in float on
// dequantized tensors, or in bf16 on the integers where grad_precision() says so.
#pragma once

#include "autograd/variable.h"
#include "kernels/conv_int8/conv_int8.h"

namespace stair::autograd {

// Whether x and w hold integers that the int8 kernels take. Throws DTypeError when they are
// quantized in another way.
bool integer_operands(const char* op, const Variable& x, const Variable& w);

// sx * sw[o], one float product each; o channels.
std::vector<float> conv_multiplier(const QParams& x, const QParams& w, int64_t o);

// y = b + conv(x, w) in f32 or f64, by float kernels or, for integer operands, the int8 kernels. b
// may be undefined. An x in pieces is taken in bands where that pays (autograd/conv_bands.h).
// sums: of integer operands or of such bands, gathered where it is not null.
Tensor conv_forward(const kernels::ConvShape& shape, const Deferred& x, const Tensor& w,
                    const Tensor& b, const Shape& y_shape, ChannelSums* sums = nullptr);

// The gradients of x (if want_x), w (if want_w) and b (if want_b); undefined where not wanted. A gy
// in pieces is taken in bands or a few images at a time, a number that depends on the shape alone;
// `watch`, of x, may be null.
std::vector<Tensor> conv_backward(const kernels::ConvShape& shape, const Deferred& x,
                                  const Tensor& w, const Deferred& gy, bool want_x, bool want_w,
                                  bool want_b, const GradientWatch* watch = nullptr);

}  // namespace stair::autograd
