#include "autograd/ops/group_linear.h"

#include <algorithm>
#include <array>

#include "autograd/conv_integer.h"
#include "autograd/op.h"
#include "autograd/operands.h"
#include "autograd/ops/linear.h"
#include "core/parallel.h"

namespace stair::autograd {
namespace {

struct Sizes {
  int64_t rows, outputs, groups, group;
  int64_t inputs() const { return groups * group; }
};

Sizes check(const Variable& x, const Variable& w, const Variable& b) {
  if (x.shape().rank() < 1 || w.shape().rank() != 2 || w.shape().numel() == 0 ||
      x.size(-1) % w.size(1) != 0 || x.size(-1) == 0 || w.size(0) % (x.size(-1) / w.size(1)) != 0)
    throw ShapeError(str("group_linear: x ", x.value(), " [N,I], w ", w.value(),
                         " [O * I / g, g]: g must divide I, I / g the rows of w"));
  const int64_t groups = x.size(-1) / w.size(1), outputs = w.size(0) / groups;
  if (b.defined() && b.shape() != Shape{outputs})
    throw ShapeError(str("group_linear: b has shape ", b.shape(), ", expected [", outputs, "]"));
  return {x.shape().numel() / x.size(-1), outputs, groups, w.size(1)};
}

// The groups as those of one grouped convolution, whose output channels are [group][o]: the
// accumulators [N, groups * O].
Tensor accumulate(const Sizes& s, const Tensor& x, const Tensor& w) {
  Tensor sorted = Tensor::empty(w.shape(), DType::s8);
  for (int64_t o = 0; o < s.outputs; ++o)
    for (int64_t j = 0; j < s.groups; ++j)
      std::copy_n(w.data<int8_t>() + (o * s.groups + j) * s.group, s.group,
                  sorted.data<int8_t>() + (j * s.outputs + o) * s.group);
  Tensor acc = Tensor::empty({s.rows, s.groups * s.outputs}, DType::s32);
  const kernels::ConvShape shape{
      .n = s.rows, .c = s.inputs(), .o = s.groups * s.outputs, .groups = s.groups};
  kernels::ConvInt8::Args args{
      .s = shape, .x = x.raw(), .w = sorted.data<int8_t>(), .y = acc.raw()};
  args.x_signed = x.dtype() == DType::s8;
  args.x_zero_point = x.qparams().zero_point[0];
  args.output = kernels::ConvOutput::acc;
  kernels::conv_int8(args);
  return acc;
}

Tensor forward_integers(const Sizes& s, const Tensor& x, const Tensor& w, const Tensor& b,
                        const Shape& y_shape) {
  const Tensor acc = accumulate(s, x, w);
  std::vector<float> multiplier(static_cast<size_t>(s.groups * s.outputs));
  for (int64_t j = 0; j < s.groups; ++j)
    for (int64_t o = 0; o < s.outputs; ++o)
      multiplier[static_cast<size_t>(j * s.outputs + o)] =
          x.qparams().scale[0] * w.qparams().scale[static_cast<size_t>(o * s.groups + j)];
  Tensor y = Tensor::empty(y_shape, DType::f32);
  parallel_for(s.rows, 1 + (1 << 14) / (s.groups * s.outputs), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      float* to = y.data<float>() + n * s.outputs;
      if (b.defined())
        std::copy_n(b.data<float>(), s.outputs, to);
      else
        std::fill_n(to, s.outputs, 0.0F);
      for (int64_t j = 0; j < s.groups; ++j) {
        const int32_t* from = acc.data<int32_t>() + (n * s.groups + j) * s.outputs;
        const float* m = multiplier.data() + j * s.outputs;
        for (int64_t o = 0; o < s.outputs; ++o) to[o] += static_cast<float>(from[o]) * m[o];
      }
    }
  });
  return y;
}

Variable apply(std::span<const Variable> in, const Attributes&) {
  return group_linear(in[0], in[1], in.size() > 2 ? in[2] : Variable());
}

}  // namespace

Variable group_linear(const Variable& x, const Variable& w, const Variable& b) {
  const Sizes s = check(x, w, b);
  const Shape whole{s.outputs, s.inputs()};
  const Tensor real = dequantize(w.value()).reshape(whole);
  std::vector<int64_t> y_dims = x.shape().dims();
  y_dims.back() = s.outputs;
  const kernels::ConvShape shape{.n = s.rows, .c = s.inputs(), .o = s.outputs};
  Tensor y;
  if (integer_operands("group_linear", x, w)) {
    if (!w.value().qparams().per_channel())
      throw DTypeError(str("group_linear: w is ", w.value(), ", expected a scale a row"));
    y = forward_integers(s, x.value(), w.value(), b.defined() ? dequantize(b.value()) : Tensor(),
                         Shape(std::move(y_dims)));
  } else {
    y = conv_forward(shape, real_operand("group_linear", "x", x), real,
                     b.defined() ? dequantize(b.value()) : Tensor(), Shape(std::move(y_dims)));
  }
  return record("group_linear", {x, w, b}, std::move(y),
                [shape, xv = x.value(), real, rows = w.shape(),
                 wants = std::array{x.requires_grad(), w.requires_grad(), b.requires_grad()}](
                    const Deferred& gy) {
                  std::vector<Tensor> g =
                      conv_backward(shape, xv, real, gy, wants[0], wants[1], wants[2]);
                  if (g[1].defined()) g[1] = g[1].reshape(rows);
                  return g;
                });
}

const OpDef op_group_linear{"group_linear", apply};

}  // namespace stair::autograd
