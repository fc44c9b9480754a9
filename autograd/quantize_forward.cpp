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

void check(const char* op, const Deferred& x, const QParams& p, DType dtype) {
  const Shape& shape = x.shape();
  if (x.dtype() != DType::f32 && x.dtype() != DType::f64)
    throw DTypeError(str(op, ": x is ", shape, ' ', x.dtype(), ", expected f32 or f64"),
                     "integers take part once they are quantized tensors");
  if (!holds(dtype, p))
    throw DTypeError(str(op, ": range ", p.qmin, " to ", p.qmax, " does not fit ", dtype,
                         ", expected u8, s8 or s32 that holds it"));
  if (p.qmin >= p.qmax)
    throw ConfigError(str(op, ": qmin ", p.qmin, " and qmax ", p.qmax, ", expected qmin < qmax"));
  if (p.axis >= shape.rank())
    throw ShapeError(
        str(op, ": axis ", p.axis, " of the parameters; got x ", shape, ' ', x.dtype()));
  const size_t channels = p.per_channel() ? static_cast<size_t>(shape[p.axis]) : 1;
  if (p.scale.size() != channels || p.zero_point.size() != channels)
    throw ShapeError(str(op, ": ", p.scale.size(), " scales and ", p.zero_point.size(),
                         " zero points for ", channels, " channels; got x ", shape, ' ', x.dtype(),
                         ", axis ", p.axis));
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

// Quantizes what each byte stands for.
Tensor quantized_pixels(const char* op, const Pixels& pixels, const QParams& p, DType dtype,
                        bool relu) {
  const Tensor table = quantize_forward(op, pixels.values, p, dtype, relu, false).q;
  const int64_t channels = table.size(0);
  Tensor codes = Tensor::empty(pixels.bytes.shape(), dtype);
  look_up_bytes(pixels.bytes.data<uint8_t>(), codes.numel() / channels, channels,
                reinterpret_cast<const uint8_t*>(table.raw()),
                reinterpret_cast<uint8_t*>(codes.raw()));
  return codes.with_qparams(p);
}

}  // namespace

Quantized quantize_forward(const char* op, const Deferred& x, const QParams& p, DType dtype,
                           bool relu, bool want_mask) {
  check(op, x, p, dtype);
  if (x.pixels() != nullptr && !p.per_channel() && !want_mask && bytes_of(dtype, 1) == 1)
    return {quantized_pixels(op, *x.pixels(), p, dtype, relu), {}};
  const int64_t count = x.shape().numel();
  Quantized result{Tensor::empty(x.shape(), dtype), {}};
  if (want_mask) result.inside = Tensor::empty({count}, DType::b1);
  const auto quantize = [&]<class T>(const kernels::ChannelLayout& layout, const T* from,
                                     int64_t first) {
    kernels::run<kernels::Quantize<T>>(
        {layout, from, p.scale.data(), p.zero_point.data(), p.qmin, p.qmax, relu, dtype,
         result.q.raw() + bytes_of(dtype, first),
         want_mask ? reinterpret_cast<uint8_t*>(result.inside.raw()) + first / 8 : nullptr});
  };
  if (x.in_pieces() && !p.per_channel())
    x.for_pieces([&](int64_t first, std::span<float> values) {
      quantize({1, 1, std::ssize(values)}, values.data(), first);
    });
  else
    with_real(x.dtype(), op, [&]<class T>() {
      quantize(channel_layout(x.shape(), p.axis), x.whole().data<T>(), 0);
    });
  result.q = result.q.with_qparams(p);
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
