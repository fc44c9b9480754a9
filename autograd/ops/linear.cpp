#include "autograd/ops/linear.h"

#include <array>

#include "autograd/conv_integer.h"
#include "autograd/op.h"
#include "autograd/operands.h"

namespace stair::autograd {
namespace {

// A linear layer is a 1x1 convolution of as many pictures of one pixel as x has rows.
kernels::ConvShape check(const Variable& x, const Variable& w, const Variable& b) {
  const auto received = [&] {
    return str("; got x ", x.value(), " [N,I], w ", w.value(), " [O,I]",
               b.defined() ? str(", b ", b.value()) : "");
  };
  if (x.shape().rank() < 1 || w.shape().rank() != 2)
    throw ShapeError("linear: x needs at least 1 dimension and w needs 2" + received());
  const int64_t features = x.size(-1), outputs = w.size(0);
  if (w.size(1) != features)
    throw ShapeError(
        str("linear: w has ", w.size(1), " input features, expected ", features) + received(),
        x.shape().numel() == w.size(1) * x.size(0) ? "flatten x first" : "");
  if (features == 0) throw ShapeError("linear: x has no features" + received());
  if (b.defined() && b.shape() != Shape{outputs})
    throw ShapeError(str("linear: b has shape ", b.shape(), ", expected [", outputs, "]") +
                     received());
  const DType dtype = real_dtype(x);
  if (real_dtype(w) != dtype || (b.defined() && real_dtype(b) != dtype))
    throw DTypeError("linear: x, w and b differ in element type" + received());
  if (dtype != DType::f32 && dtype != DType::f64)
    throw DTypeError("linear: expected f32, f64 or quantized tensors" + received());
  return {.n = x.shape().numel() / features, .c = features, .o = outputs};
}

Variable apply(std::span<const Variable> in, const Attributes&) {
  return linear(in[0], in[1], in.size() > 2 ? in[2] : Variable());
}

}  // namespace

Variable linear(const Variable& x, const Variable& w, const Variable& b) {
  const kernels::ConvShape s = check(x, w, b);
  integer_operands("linear", x, w);
  std::vector<int64_t> y_dims = x.shape().dims();
  y_dims.back() = s.o;
  Tensor y = conv_forward(s, x.value(), w.value(), b.defined() ? dequantize(b.value()) : Tensor(),
                          Shape(std::move(y_dims)));
  return record("linear", {x, w, b}, std::move(y),
                [s, xv = x.value(), wv = w.value(),
                 wants = std::array{x.requires_grad(), w.requires_grad(), b.requires_grad()}](
                    const Deferred& gy) {
                  return conv_backward(s, xv, wv, gy, wants[0], wants[1], wants[2]);
                });
}

const OpDef op_linear{"linear", apply};

}  // namespace stair::autograd
