#include "autograd/ops/pad_channels.h"

#include "autograd/op.h"
#include "autograd/operands.h"

namespace stair::autograd {
namespace {

Shape with_channels(const Shape& shape, int64_t channels) {
  std::vector<int64_t> dims = shape.dims();
  dims.back() = channels;
  return Shape(std::move(dims));
}

// Copies `channels` channels of each row from channel `from_start` of `from` to `to_start` of `to`.
void copy_channels(const Tensor& from, int64_t from_start, const Tensor& to, int64_t to_start,
                   int64_t channels) {
  const int64_t size = static_cast<int64_t>(from.element_size());
  const int64_t from_row = from.size(-1) * size, to_row = to.size(-1) * size;
  const int64_t rows = from_row == 0 ? 0 : from.numel() / from.size(-1);
  for (int64_t r = 0; r < rows; ++r)
    std::memcpy(to.raw() + r * to_row + to_start * size,
                from.raw() + r * from_row + from_start * size,
                static_cast<size_t>(channels * size));
}

// A tensor that stands for zeros.
Tensor zeros_like(const Tensor& x, const Shape& shape) {
  if (!x.quantized()) return Tensor::zeros(shape, x.dtype());
  const int32_t zero = x.qparams().zero_point[0];
  Tensor y = Tensor::empty(shape, x.dtype());
  if (x.dtype() == DType::s32)
    for (int64_t i = 0; i < y.numel(); ++i) y.data<int32_t>()[i] = zero;
  else
    std::memset(y.raw(), zero, y.bytes());
  return y.with_qparams(x.qparams());
}

Variable apply(std::span<const Variable> in, const Attributes& a) {
  return pad_channels(in[0], a.get<int64_t>("before"), a.get<int64_t>("after"));
}

}  // namespace

Variable pad_channels(const Variable& x, int64_t before, int64_t after) {
  if (x.shape().rank() < 1 || before < 0 || after < 0)
    throw ShapeError(
        str("pad_channels: x needs a channel dimension, before and after at least 0; "
            "got x ",
            x.value(), " [...,C], before ", before, ", after ", after));
  const int64_t channels = x.size(-1);
  const Tensor xv = x.quantized() ? per_tensor_operand(x) : real_operand("pad_channels", "x", x);
  Tensor y = zeros_like(xv, with_channels(x.shape(), before + channels + after));
  copy_channels(xv, 0, y, before, channels);
  return record(
      "pad_channels", {x}, std::move(y),
      [before, shape = x.shape()](const Tensor& gy) -> std::vector<Tensor> {
        Tensor gx = Tensor::empty(shape, gy.dtype());
        copy_channels(gy, before, gx, 0, gx.size(-1));
        return {gx};
      },
      tracing() ? Attributes{{"before", before}, {"after", after}} : Attributes{});
}

const OpDef op_pad_channels{"pad_channels", apply};

}  // namespace stair::autograd
