#include "autograd/conv_integer.h"

#include <algorithm>

#include "autograd/conv_bands.h"
#include "autograd/dequantize.h"
#include "autograd/grad_precision.h"
#include "autograd/op.h"
#include "core/parallel.h"
#include "kernels/conv_bf16/conv_bf16.h"
#include "kernels/reduce/reduce.h"

namespace stair::autograd {
namespace {

void backward_data_bf16(const kernels::ConvShape& shape, const Tensor& w, const Tensor& gy,
                        int terms, const Tensor& gx) {
  std::vector<float> scale = w.qparams().scale;
  scale.resize(static_cast<size_t>(shape.o), scale[0]);
  kernels::run<kernels::ConvBf16BackwardData>(
      {shape, terms, gy.data<float>(), w.data<int8_t>(), scale.data(), gx.data<float>()});
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
int gradient_terms(const kernels::ConvShape& shape, const Deferred& deferred, const Tensor& w) {
  if (grad_precision() == GradPrecision::f32 || !deferred.quantized() || !w.quantized() ||
      shape.depthwise())
    return 0;
  const Tensor& x = deferred.whole();
  const int32_t zero_point = x.qparams().zero_point[0], low = x.dtype() == DType::s8 ? -128 : 0;
  if (zero_point < low || zero_point > low + 255) return 0;
  return grad_precision() == GradPrecision::bf16x2 ? 2 : 1;
}

// Floats of the inputs and outputs of a piece of the backward: they stay in an L3 cache between
// the passes that write and read them.
constexpr int64_t kPieceFloats = 2 << 20;

int64_t images_of_a_piece(const kernels::ConvShape& s) {
  const int64_t floats = s.oh() * s.ow() * s.o + s.h * s.w * s.c;
  return std::max<int64_t>(1, kPieceFloats / std::max<int64_t>(1, floats));
}

// Parts of an image for what is told of it; each of 65536 floats at least, where there are many.
int64_t cuts_of_an_image(const kernels::ConvShape& s) {
  return std::clamp<int64_t>(s.h * s.w * s.c >> 16, 1, 8);
}

struct ConvGradients {
  Tensor gx, gw, gb;
};

void add_to(Tensor& sum, const Tensor& g) {
  Deferred total(std::move(sum));
  sum = Tensor();
  total.add(g);
  sum = total.whole();
}

// Overwrites sum.gx where it is defined, adds to the others.
void add_images(const kernels::ConvShape& shape, const Tensor& x, const Tensor& w, const Tensor& gy,
                bool want_w, bool want_b, ConvGradients& sum) {
  const int terms = gradient_terms(shape, x, w);
  with_real(gy.dtype(), "conv", [&]<class T>() {
    if (sum.gx.defined() && terms > 0)
      backward_data_bf16(shape, w, gy, terms, sum.gx);
    else if (sum.gx.defined())
      kernels::run<kernels::ConvBackwardData<T>>(
          {shape, gy.data<T>(), dequantize(w).template data<T>(), sum.gx.data<T>()});
    if (want_w && terms > 0) {
      add_to(sum.gw, backward_weights_bf16(shape, x, w, gy, terms));
    } else if (want_w) {
      const Tensor gw = Tensor::empty(w.shape(), gy.dtype());
      kernels::run<kernels::ConvBackwardWeights<T>>(
          {shape, dequantize(x).template data<T>(), gy.data<T>(), gw.data<T>()});
      add_to(sum.gw, gw);
    }
    if (want_b) {
      const Tensor gb = Tensor::empty({shape.o}, gy.dtype());
      kernels::run<kernels::SumChannels<T>>(
          {{shape.rows(), shape.o, 1}, gy.data<T>(), gb.data<T>()});
      add_to(sum.gb, gb);
    }
  });
}

// Tells a watch of images [begin, end), each cut into a few chunks.
void tell(const GradientWatch& watch, const kernels::ConvShape& s, int64_t begin, int64_t end,
          const Tensor& gx) {
  const int64_t area = s.h * s.w, cuts = cuts_of_an_image(s);
  parallel_tasks((end - begin) * cuts, [&](int64_t task) {
    const int64_t chunk = begin * cuts + task;
    const int64_t first = area * chunk / cuts, last = area * (chunk + 1) / cuts;
    watch.written(chunk, first, last, gx.data<float>() + first * s.c);
  });
}

std::vector<Tensor> backward_in_images(const kernels::ConvShape& shape, const Tensor& x,
                                       const Tensor& w, const Deferred& gy, bool want_x,
                                       bool want_w, bool want_b, const GradientWatch* watch) {
  ConvGradients sum{want_x ? Tensor::empty(x.shape(), DType::f32) : Tensor(), {}, {}};
  const int64_t images = images_of_a_piece(shape), area = shape.oh() * shape.ow();
  if (images >= shape.n) watch = nullptr;  // nothing is read sooner
  const Tensor piece =
      Tensor::empty({std::min(images, shape.n), shape.oh(), shape.ow(), shape.o}, DType::f32);
  if (watch != nullptr) watch->chunks(shape.n * cuts_of_an_image(shape));
  for (int64_t begin = 0; begin < shape.n; begin += images) {
    const int64_t end = std::min(begin + images, shape.n);
    const Tensor part = piece.slice(0, end - begin);
    gy.rows(begin * area, end * area, part.data<float>());
    kernels::ConvShape few = shape;
    few.n = end - begin;
    ConvGradients next{want_x ? sum.gx.slice(begin, end) : Tensor(), std::move(sum.gw),
                       std::move(sum.gb)};
    add_images(few, x.slice(begin, end), w, part, want_w, want_b, next);
    sum.gw = next.gw, sum.gb = next.gb;
    if (watch != nullptr) tell(*watch, shape, begin, end, sum.gx);
  }
  return {sum.gx, sum.gw, sum.gb};
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

Tensor conv_forward(const kernels::ConvShape& shape, const Deferred& deferred, const Tensor& w,
                    const Tensor& b, const Shape& y_shape, ChannelSums* sums) {
  const kernels::ChannelMoments moments =
      sums == nullptr ? kernels::ChannelMoments{}
                      : kernels::ChannelMoments{sums->mean.data(), sums->squares.data(),
                                                sums->min.data(), sums->max.data()};
  if (deferred.in_pieces() && y_shape.rank() == 4 && ConvBands::pay(shape))
    return forward_in_bands(shape, deferred, dequantize(w), b, moments);
  const Tensor& x = deferred.whole();
  if (x.quantized() && w.quantized()) {
    Tensor y = Tensor::empty(y_shape, DType::f32);
    const std::vector<float> multiplier = conv_multiplier(x.qparams(), w.qparams(), shape.o);
    kernels::ConvInt8::Args args{.s = shape, .x = x.raw(), .w = w.data<int8_t>(), .y = y.raw()};
    args.x_signed = x.dtype() == DType::s8;
    args.x_zero_point = x.qparams().zero_point[0];
    args.output = kernels::ConvOutput::real;
    args.multiplier = multiplier.data();
    args.bias = b.defined() ? b.data<float>() : nullptr;
    args.moments = moments;
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

std::vector<Tensor> conv_backward(const kernels::ConvShape& shape, const Deferred& x,
                                  const Tensor& w, const Deferred& gy, bool want_x, bool want_w,
                                  bool want_b, const GradientWatch* watch) {
  const bool pieces = gy.in_pieces() && x.shape().rank() == 4;
  if (watch != nullptr && (watch->readers != 1 || !want_x)) watch = nullptr;
  if (!pieces) {
    ConvGradients sum{want_x ? Tensor::empty(x.shape(), gy.whole().dtype()) : Tensor(), {}, {}};
    add_images(shape, x, w, gy, want_w, want_b, sum);
    return {sum.gx, sum.gw, sum.gb};
  }
  const bool one_scale = !x.quantized() || !x.whole().qparams().per_channel();
  if (ConvBands::pay(shape) && one_scale && !want_b && gradient_terms(shape, x, w) == 0) {
    const BandedGradients g =
        backward_in_bands({shape, x, dequantize(w), gy, want_x, want_w, watch});
    return {g.gx, g.gw, Tensor()};
  }
  return backward_in_images(shape, x, w, gy, want_x, want_w, want_b, watch);
}

}  // namespace stair::autograd
