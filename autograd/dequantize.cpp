#include "autograd/dequantize.h"

namespace stair::autograd {

kernels::ChannelLayout channel_layout(const Shape& shape, int axis) {
  if (axis < 0) return {1, 1, shape.numel()};
  kernels::ChannelLayout layout{1, shape[axis], 1};
  for (int i = 0; i < axis; ++i) layout.outer *= shape[i];
  for (int i = axis + 1; i < shape.rank(); ++i) layout.inner *= shape[i];
  return layout;
}

Tensor dequantize(const Tensor& q) {
  if (!q.quantized()) return q;
  const QParams& p = q.qparams();
  Tensor x = Tensor::empty(q.shape(), DType::f32);
  kernels::run<kernels::Dequantize<float>>({channel_layout(q.shape(), p.axis), q.dtype(), q.raw(),
                                            p.scale.data(), p.zero_point.data(), x.data<float>()});
  return x;
}

}  // namespace stair::autograd
