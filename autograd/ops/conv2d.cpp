#include "autograd/ops/conv2d.h"

#include "autograd/conv_bands.h"
#include "autograd/conv_integer.h"
#include "autograd/dequantize.h"
#include "autograd/op.h"
#include "autograd/recompute.h"

namespace stair::autograd {
namespace {

kernels::ConvShape check(const Variable& x, const Variable& w, const Variable& b,
                         const Conv2dOptions& p) {
  const auto received = [&] {
    return str("; got x ", x.value(), " [N,H,W,C], w ", w.value(), " [O,KH,KW,I], groups ",
               p.groups);
  };
  if (x.shape().rank() != 4 || w.shape().rank() != 4)
    throw ShapeError("conv2d: x and w need 4 dimensions" + received());
  kernels::ConvShape s{.n = x.size(0),
                       .h = x.size(1),
                       .w = x.size(2),
                       .c = x.size(3),
                       .o = w.size(0),
                       .kh = w.size(1),
                       .kw = w.size(2)};
  s.stride_h = p.stride[0], s.stride_w = p.stride[1];
  s.pad_top = p.padding[0], s.pad_left = p.padding[1], s.pad_bottom = p.padding[2],
  s.pad_right = p.padding[3];
  s.dilation_h = p.dilation[0], s.dilation_w = p.dilation[1];
  s.groups = p.groups;
  if (s.groups < 1 || s.c % s.groups != 0 || s.o % s.groups != 0)
    throw ShapeError(str("conv2d: groups ", s.groups, " do not divide ", s.c, " input and ", s.o,
                         " output channels") +
                     received());
  if (w.size(3) != s.i()) {
    const bool divides = w.size(3) > 0 && s.c % w.size(3) == 0;
    throw ShapeError(
        str("conv2d: w has ", w.size(3), " input channels, expected ", s.i(), " = C / groups") +
            received(),
        divides ? str("groups=", s.c / w.size(3)) : "");
  }
  if (s.stride_h < 1 || s.stride_w < 1 || s.dilation_h < 1 || s.dilation_w < 1)
    throw ShapeError(str("conv2d: stride ", s.stride_h, "x", s.stride_w, ", dilation ",
                         s.dilation_h, "x", s.dilation_w, ", expected at least 1") +
                     received());
  for (int64_t pad : p.padding)
    if (pad < 0) throw ShapeError(str("conv2d: padding ", pad, " is negative") + received());
  if (s.oh() < 1 || s.ow() < 1)
    throw ShapeError(str("conv2d: the window is larger than the padded picture") + received());
  if (b.defined() && b.shape() != Shape{s.o})
    throw ShapeError(str("conv2d: b is ", b.value(), ", expected [", s.o, "]") + received());
  if (!x.quantized() && !w.quantized() && x.dtype() != w.dtype())
    throw DTypeError("conv2d: x and w differ in element type" + received());
  return s;
}

std::vector<int64_t> list(const auto& values) {
  return {values.begin(), values.end()};
}

Attributes attributes(const Conv2dOptions& p) {
  return {{"stride", list(p.stride)},
          {"padding", list(p.padding)},
          {"dilation", list(p.dilation)},
          {"groups", p.groups}};
}

Variable apply(std::span<const Variable> in, const Attributes& a) {
  Conv2dOptions p;
  const auto read = [&](const char* key, auto& to) {
    const auto& from = a.get<std::vector<int64_t>>(key);
    if (from.size() != to.size())
      throw ConfigError(
          str("conv2d: attribute '", key, "' has ", from.size(), " values, expected ", to.size()));
    std::copy(from.begin(), from.end(), to.begin());
  };
  read("stride", p.stride);
  read("padding", p.padding);
  read("dilation", p.dilation);
  p.groups = a.get<int64_t>("groups");
  return conv2d(in[0], in[1], in.size() > 2 ? in[2] : Variable(), p);
}

}  // namespace

Variable conv2d(const Variable& x, const Variable& w, const Variable& b,
                const Conv2dOptions& options) {
  const kernels::ConvShape s = check(x, w, b, options);
  const bool integers = integer_operands("conv2d", x, w);
  const auto forward = [s, wv = w.value(), bv = b.defined() ? dequantize(b.value()) : Tensor()](
                           const Deferred& xv, ChannelSums* sums) {
    return conv_forward(s, xv, wv, bv, {s.n, s.oh(), s.ow(), s.o}, sums);
  };
  // What reads a formula mostly stands between batch norms.
  const bool gathers = integers ? options.moments : x.deferred().in_pieces() && ConvBands::pay(s);
  const auto sums =
      gathers && s.rows() > 0 ? std::make_shared<ChannelSums>(static_cast<size_t>(s.o)) : nullptr;
  Tensor values =
      forward(x.deferred(), sums.get());  // may have asked x for the whole, which then is kept
  Variable y = record(
      "conv2d", {x, w, b}, std::move(values),
      [s, kept = Kept(x), wv = w.value(), watch = x.watch(),
       wants = std::array{x.requires_grad(), w.requires_grad(), b.requires_grad()}](
          const Deferred& gy) {
        return conv_backward(s, kept.deferred(), wv, gy, wants[0], wants[1], wants[2], watch.get());
      },
      tracing() ? attributes(options) : Attributes{});
  // The integer kernels take a small part of what the two float products of the backward take.
  if (integers && recompute_enabled())
    y.set_remake([forward, xv = x.value()] { return forward(xv, nullptr); });
  y.set_sums(sums);
  return y;
}

const OpDef op_conv2d{"conv2d", apply};

}  // namespace stair::autograd
