#include "autograd/pool2d.h"

#include <algorithm>

#include "autograd/op.h"
#include "autograd/operands.h"
#include "core/parallel.h"

namespace stair::autograd {
namespace {

// The part of a window along one dimension that lies inside the picture: [begin, end).
struct Span {
  int64_t begin, end;
};
Span inside(int64_t output, int64_t stride, int64_t pad, int64_t kernel, int64_t size) {
  const int64_t start = output * stride - pad;
  return {std::max<int64_t>(start, 0), std::min(start + kernel, size)};
}

// y = float(sum of (q - z)) * (scale / count): the sum exact, two float operations.
template <class Q>
void average_codes(const kernels::PoolShape& s, const Q* q, const QParams& p, float* y) {
  const int64_t rows = s.n * s.oh();
  parallel_for(rows, 1, [&](int64_t row, int64_t) {
    const Q* picture = q + row / s.oh() * s.h * s.w * s.c;
    const Span v = inside(row % s.oh(), s.stride_h, s.pad_top, s.kh, s.h);
    std::vector<int32_t> sum(static_cast<size_t>(s.c));
    for (int64_t ox = 0; ox < s.ow(); ++ox) {
      const Span u = inside(ox, s.stride_w, s.pad_left, s.kw, s.w);
      std::fill(sum.begin(), sum.end(), 0);
      for (int64_t h = v.begin; h < v.end; ++h)
        for (int64_t w = u.begin; w < u.end; ++w) {
          const Q* pixel = picture + (h * s.w + w) * s.c;
          for (int64_t c = 0; c < s.c; ++c)
            sum[static_cast<size_t>(c)] += static_cast<int32_t>(pixel[c]) - p.zero_point[0];
        }
      const int64_t count =
          s.count_include_pad ? s.kh * s.kw : (v.end - v.begin) * (u.end - u.begin);
      const float factor = p.scale[0] / static_cast<float>(count);
      float* to = y + (row * s.ow() + ox) * s.c;
      for (int64_t c = 0; c < s.c; ++c)
        to[c] = static_cast<float>(sum[static_cast<size_t>(c)]) * factor;
    }
  });
}

Tensor forward(const char* op, const kernels::PoolShape& s, const Variable& x) {
  const Shape shape{s.n, s.oh(), s.ow(), s.c};
  const Tensor xv = per_tensor_operand(x);
  if (xv.quantized() && (xv.dtype() == DType::u8 || xv.dtype() == DType::s8)) {
    Tensor y = Tensor::empty(shape, DType::f32);
    if (xv.dtype() == DType::u8)
      average_codes(s, xv.data<uint8_t>(), xv.qparams(), y.data<float>());
    else
      average_codes(s, xv.data<int8_t>(), xv.qparams(), y.data<float>());
    return y;
  }
  const Tensor xf = real_operand(op, "x", x);
  Tensor y = Tensor::empty(shape, xf.dtype());
  with_real(xf.dtype(), op, [&]<class T>() {
    kernels::run<kernels::AvgPool<T>>({s, xf.data<T>(), y.data<T>()});
  });
  return y;
}

}  // namespace

kernels::PoolShape pool_shape(const char* op, const Variable& x, const Pool2dOptions& p) {
  const auto received = [&] {
    return str("; got x ", x.value(), " [N,H,W,C], kernel ", p.kernel[0], "x", p.kernel[1],
               ", stride ", p.stride[0], "x", p.stride[1], ", padding ", p.padding[0], ",",
               p.padding[1], ",", p.padding[2], ",", p.padding[3]);
  };
  if (x.shape().rank() != 4) throw ShapeError(str(op, ": x needs 4 dimensions") + received());
  for (size_t i = 0; i < 4; ++i) {
    if (p.kernel[i % 2] < 1 || p.stride[i % 2] < 1)
      throw ShapeError(str(op, ": kernel and stride need to be at least 1") + received());
    if (p.padding[i] < 0 || p.padding[i] >= p.kernel[i % 2])
      throw ShapeError(str(op, ": padding ", p.padding[i], ", expected 0 to ", p.kernel[i % 2] - 1,
                           ", less than the kernel") +
                       received());
  }
  kernels::PoolShape s{.n = x.size(0),
                       .h = x.size(1),
                       .w = x.size(2),
                       .c = x.size(3),
                       .kh = p.kernel[0],
                       .kw = p.kernel[1],
                       .stride_h = p.stride[0],
                       .stride_w = p.stride[1],
                       .pad_top = p.padding[0],
                       .pad_left = p.padding[1],
                       .pad_bottom = p.padding[2],
                       .pad_right = p.padding[3],
                       .count_include_pad = p.count_include_pad};
  if (s.h + s.pad_top + s.pad_bottom < s.kh || s.w + s.pad_left + s.pad_right < s.kw)
    throw ShapeError(str(op, ": the window is larger than the padded picture") + received());
  return s;
}

Attributes pool_attributes(const Pool2dOptions& p) {
  const auto list = [](const auto& v) { return std::vector<int64_t>(v.begin(), v.end()); };
  return {{"kernel", list(p.kernel)},
          {"stride", list(p.stride)},
          {"padding", list(p.padding)},
          {"count_include_pad", p.count_include_pad}};
}

Pool2dOptions pool_options(const char* op, const Attributes& attributes) {
  Pool2dOptions p;
  const auto read = [&](const char* key, auto& to) {
    const auto& from = attributes.get<std::vector<int64_t>>(key);
    if (from.size() != to.size())
      throw ConfigError(
          str(op, ": attribute '", key, "' has ", from.size(), " values, expected ", to.size()));
    std::copy(from.begin(), from.end(), to.begin());
  };
  read("kernel", p.kernel);
  read("stride", p.stride);
  read("padding", p.padding);
  p.count_include_pad = attributes.get<bool>("count_include_pad");
  return p;
}

Variable average(const char* op, const Variable& x, const kernels::PoolShape& s,
                 const Attributes& attributes) {
  return record(
      op, {x}, forward(op, s, x),
      [op, s, shape = x.shape()](const Tensor& gy) -> std::vector<Tensor> {
        Tensor gx = Tensor::empty(shape, gy.dtype());
        with_real(gy.dtype(), op, [&]<class T>() {
          kernels::run<kernels::AvgPoolBackward<T>>({s, gy.data<T>(), gx.data<T>()});
        });
        return {gx};
      },
      attributes);
}

}  // namespace stair::autograd
