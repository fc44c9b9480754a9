#include "autograd/quantize_forward.h"

#include <bit>
#include <cmath>
#include <limits>

#include "autograd/dequantize.h"
#include "autograd/op.h"

namespace stair::autograd {
namespace {

bool holds(DType dtype, const QParams& p) {
  if (dtype == DType::u8) return p.qmin >= 0 && p.qmax <= 255;
  if (dtype == DType::s8) return p.qmin >= -128 && p.qmax <= 127;
  return dtype == DType::s32;
}

void check(const char* op, const Tensor& x, const QParams& p, DType dtype) {
  if (!holds(dtype, p))
    throw DTypeError(str(op, ": range ", p.qmin, " to ", p.qmax, " does not fit ", dtype,
                         ", expected u8, s8 or s32 that holds it"));
  if (p.qmin >= p.qmax)
    throw ConfigError(str(op, ": qmin ", p.qmin, " and qmax ", p.qmax, ", expected qmin < qmax"));
  if (p.axis >= x.shape().rank())
    throw ShapeError(str(op, ": axis ", p.axis, " of the parameters; got x ", x));
  const size_t channels = p.per_channel() ? static_cast<size_t>(x.size(p.axis)) : 1;
  if (p.scale.size() != channels || p.zero_point.size() != channels)
    throw ShapeError(str(op, ": ", p.scale.size(), " scales and ", p.zero_point.size(),
                         " zero points for ", channels, " channels; got x ", x, ", axis ", p.axis));
  for (size_t c = 0; c < channels; ++c) {
    if (!(p.scale[c] > 0) || !std::isfinite(p.scale[c]))
      throw ConfigError(str(op, ": scale ", p.scale[c], " of channel ", c,
                            ", expected a positive finite number"));
    if (p.zero_point[c] < p.qmin || p.zero_point[c] > p.qmax)
      throw ConfigError(str(op, ": zero point ", p.zero_point[c], " of channel ", c, ", expected ",
                            p.qmin, " to ", p.qmax));
  }
}

Tensor converted(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = Tensor::empty(x.shape(), dtype);
  with_real(x.dtype(), "gradient", [&]<class From>() {
    with_real(dtype, "gradient", [&]<class To>() {
      for (int64_t i = 0; i < x.numel(); ++i) y.data<To>()[i] = static_cast<To>(x.data<From>()[i]);
    });
  });
  return y;
}

}  // namespace

Quantized quantize_forward(const char* op, const Tensor& x, const QParams& qparams, DType dtype,
                           bool relu, bool want_mask) {
  check(op, x, qparams, dtype);
  Quantized result{Tensor::empty(x.shape(), dtype), {}};
  if (want_mask) result.inside = Tensor::empty({x.numel()}, DType::b1);
  with_real(x.dtype(), op, [&]<class T>() {
    kernels::run<kernels::Quantize<T>>(
        {channel_layout(x.shape(), qparams.axis), x.data<T>(), qparams.scale.data(),
         qparams.zero_point.data(), qparams.qmin, qparams.qmax, relu, dtype, result.q.raw(),
         want_mask ? reinterpret_cast<uint8_t*>(result.inside.raw()) : nullptr});
  });
  result.q = result.q.with_qparams(qparams);
  return result;
}

Tensor apply_mask(const Tensor& inside, const Tensor& gy, DType dtype) {
  const Tensor g = converted(gy, dtype);
  Tensor gx = Tensor::empty(g.shape(), dtype);
  with_real(dtype, "apply_mask", [&]<class T>() {
    kernels::run<kernels::ApplyMask<T>>(
        {g.numel(), reinterpret_cast<const uint8_t*>(inside.raw()), g.data<T>(), gx.data<T>()});
  });
  return gx;
}

DType code_type(const QParams& qparams) {
  if (holds(DType::u8, qparams)) return DType::u8;
  return holds(DType::s8, qparams) ? DType::s8 : DType::s32;
}

Attributes qparams_attributes(const QParams& p) {
  std::vector<int64_t> bits;
  for (float scale : p.scale) bits.push_back(std::bit_cast<int32_t>(scale));
  return {{"scale_bits", bits},
          {"zero_point", std::vector<int64_t>(p.zero_point.begin(), p.zero_point.end())},
          {"axis", int64_t{p.axis}},
          {"qmin", int64_t{p.qmin}},
          {"qmax", int64_t{p.qmax}}};
}

QParams qparams_of(const Attributes& a) {
  QParams p;
  for (int64_t bits : a.get<std::vector<int64_t>>("scale_bits"))
    p.scale.push_back(std::bit_cast<float>(static_cast<int32_t>(bits)));
  for (int64_t zero : a.get<std::vector<int64_t>>("zero_point"))
    p.zero_point.push_back(static_cast<int32_t>(zero));
  p.axis = static_cast<int>(a.get<int64_t>("axis"));
  p.qmin = static_cast<int32_t>(a.get<int64_t>("qmin"));
  p.qmax = static_cast<int32_t>(a.get<int64_t>("qmax"));
  return p;
}

}  // namespace stair::autograd
