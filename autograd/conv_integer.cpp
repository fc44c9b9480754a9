#include "autograd/conv_integer.h"

#include "autograd/dequantize.h"
#include "autograd/grad_precision.h"
#include "autograd/op.h"
#include "kernels/conv_bf16/conv_bf16.h"
#include "kernels/reduce/reduce.h"

namespace stair::autograd {
namespace {

Tensor backward_data_bf16(const kernels::ConvShape& shape, const Tensor& x, const Tensor& w,
                          const Tensor& gy, int terms) {
  Tensor gx = Tensor::empty(x.shape(), DType::f32);
  std::vector<float> scale = w.qparams().scale;
  scale.resize(static_cast<size_t>(shape.o), scale[0]);
  kernels::run<kernels::ConvBf16BackwardData>(
      {shape, terms, gy.data<float>(), w.data<int8_t>(), scale.data(), gx.data<float>()});
  return gx;
}

Tensor backward_weights_bf16(const kernels::ConvShape& shape, const Tensor& x, const Tensor& w,
                             const Tensor& gy, int terms) {
  Tensor gw = Tensor::empty(w.shape(), DType::f32);
  kernels::run<kernels::ConvBf16BackwardWeights>({shape, terms, x.raw(), x.dtype() == DType::s8,
                                                  x.qparams().zero_point[0], x.qparams().scale[0],
                                                  gy.data<float>(), gw.data<float>()});
  return gw;
}

// The bf16 terms of the gradient of a layer; 0: it stays f32. bf16 holds x less its zero point only
// where that is a code.
int gradient_terms(const kernels::ConvShape& shape, const Tensor& x, const Tensor& w) {
  if (grad_precision() == GradPrecision::f32 || !x.quantized() || !w.quantized() ||
      shape.depthwise())
    return 0;
  const int32_t zero_point = x.qparams().zero_point[0], low = x.dtype() == DType::s8 ? -128 : 0;
  if (zero_point < low || zero_point > low + 255) return 0;
  return grad_precision() == GradPrecision::bf16x2 ? 2 : 1;
}

}  // namespace

bool integer_operands(const char* op, const Variable& x, const Variable& w) {
  if (!x.quantized() || !w.quantized()) return false;
  const QParams& px = x.value().qparams();
  const QParams& pw = w.value().qparams();
  if (px.per_channel() || (x.dtype() != DType::u8 && x.dtype() != DType::s8))
    throw DTypeError(str(op, ": x is ", x.value(), px.per_channel() ? " per channel" : "",
                         ", expected u8 or s8 per tensor"));
  bool symmetric = w.dtype() == DType::s8 && pw.axis <= 0;
  for (int32_t zero : pw.zero_point) symmetric = symmetric && zero == 0;
  if (!symmetric)
    throw DTypeError(
        str(op, ": w is ", w.value(), ", expected symmetric s8 per tensor or per output channel"));
  return true;
}

std::vector<float> conv_multiplier(const QParams& x, const QParams& w, int64_t o) {
  std::vector<float> multiplier(static_cast<size_t>(o));
  for (size_t i = 0; i < multiplier.size(); ++i)
    multiplier[i] = x.scale[0] * w.scale[w.per_channel() ? i : 0];
  return multiplier;
}

Tensor conv_forward(const kernels::ConvShape& shape, const Tensor& x, const Tensor& w,
                    const Tensor& b, const Shape& y_shape) {
  if (x.quantized() && w.quantized()) {
    Tensor y = Tensor::empty(y_shape, DType::f32);
    const std::vector<float> multiplier = conv_multiplier(x.qparams(), w.qparams(), shape.o);
    kernels::ConvInt8::Args args{.s = shape, .x = x.raw(), .w = w.data<int8_t>(), .y = y.raw()};
    args.x_signed = x.dtype() == DType::s8;
    args.x_zero_point = x.qparams().zero_point[0];
    args.output = kernels::ConvOutput::real;
    args.multiplier = multiplier.data();
    args.bias = b.defined() ? b.data<float>() : nullptr;
    kernels::conv_int8(args);
    return y;
  }
  const Tensor xf = dequantize(x), wf = dequantize(w);
  Tensor y = Tensor::empty(y_shape, xf.dtype());
  with_real(xf.dtype(), "conv", [&]<class T>() {
    kernels::run<kernels::ConvForward<T>>(
        {shape, xf.data<T>(), wf.data<T>(), b.defined() ? b.data<T>() : nullptr, y.data<T>()});
  });
  return y;
}

std::vector<Tensor> conv_backward(const kernels::ConvShape& shape, const Tensor& x, const Tensor& w,
                                  const Tensor& gy, bool want_x, bool want_w, bool want_b) {
  Tensor gx, gw, gb;
  if (const int terms = gradient_terms(shape, x, w); terms > 0) {
    if (want_x) gx = backward_data_bf16(shape, x, w, gy, terms);
    if (want_w) gw = backward_weights_bf16(shape, x, w, gy, terms);
    want_x = want_w = false;
  }
  with_real(gy.dtype(), "conv", [&]<class T>() {
    if (want_x) {
      gx = Tensor::empty(x.shape(), gy.dtype());
      kernels::run<kernels::ConvBackwardData<T>>(
          {shape, gy.data<T>(), dequantize(w).template data<T>(), gx.data<T>()});
    }
    if (want_w) {
      gw = Tensor::empty(w.shape(), gy.dtype());
      kernels::run<kernels::ConvBackwardWeights<T>>(
          {shape, dequantize(x).template data<T>(), gy.data<T>(), gw.data<T>()});
    }
    if (want_b) {
      gb = Tensor::empty({shape.o}, gy.dtype());
      kernels::run<kernels::SumChannels<T>>(
          {{shape.rows(), shape.o, 1}, gy.data<T>(), gb.data<T>()});
    }
  });
  return {gx, gw, gb};
}

}  // namespace stair::autograd
