#include "autograd/ops/concat.h"

#include "autograd/op.h"
#include "autograd/operands.h"

namespace stair::autograd {
namespace {

// Whether integers can be joined as they are: one element type, one set of parameters.
bool same_grid(const std::vector<Variable>& xs) {
  for (const Variable& x : xs)
    if (!x.quantized() || x.dtype() != xs[0].dtype() || x.value().qparams().per_channel() ||
        !(x.value().qparams() == xs[0].value().qparams()))
      return false;
  return true;
}

// The shape of the result. Throws ShapeError, DTypeError.
Shape check(const std::vector<Tensor>& xs, int axis) {
  std::string received = "; got";
  for (size_t i = 0; i < xs.size(); ++i) received += str(i > 0 ? ", x" : " x", i, " ", xs[i]);
  std::vector<int64_t> dims = xs[0].shape().dims();
  if (axis < 0 || axis >= xs[0].shape().rank())
    throw ShapeError(str("concat: axis ", axis, ", expected 0 to ", xs[0].shape().rank() - 1) +
                     received);
  dims[static_cast<size_t>(axis)] = 0;
  for (size_t i = 0; i < xs.size(); ++i) {
    std::vector<int64_t> own = xs[i].shape().dims();
    if (xs[i].dtype() != xs[0].dtype())
      throw DTypeError(str("concat: x", i, " differs in element type from x0") + received);
    if (own.size() != dims.size())
      throw ShapeError(str("concat: x", i, " differs in rank from x0") + received);
    const int64_t size = own[static_cast<size_t>(axis)];
    own[static_cast<size_t>(axis)] = dims[static_cast<size_t>(axis)];
    if (own != dims)
      throw ShapeError(str("concat: x", i, " differs from x0 outside axis ", axis) + received);
    dims[static_cast<size_t>(axis)] += size;
  }
  return Shape(std::move(dims));
}

// Bytes of `t` from dimension `axis` on, for one index of the dimensions before.
size_t block(const Tensor& t, int axis) {
  size_t bytes = t.element_size();
  for (int i = axis; i < t.shape().rank(); ++i) bytes *= static_cast<size_t>(t.size(i));
  return bytes;
}

// Copies between the joined tensor and its parts, part after part.
template <class Copy>
void for_each_block(const Tensor& joined, const std::vector<Tensor>& parts, int axis,
                    const Copy& copy) {
  const size_t row = block(joined, axis);
  const size_t outer = row == 0 ? 0 : joined.bytes() / row;
  size_t offset = 0;
  for (const Tensor& part : parts) {
    const size_t bytes = block(part, axis);
    for (size_t o = 0; o < outer; ++o)
      copy(joined.raw() + o * row + offset, part.raw() + o * bytes, bytes);
    offset += bytes;
  }
}

Variable apply(std::span<const Variable> in, const Attributes& a) {
  return concat({in.begin(), in.end()}, static_cast<int>(a.get<int64_t>("axis")));
}

}  // namespace

Variable concat(const std::vector<Variable>& xs, int axis) {
  if (xs.empty()) throw ShapeError("concat: no inputs, expected at least one");
  const int from_start = axis < 0 ? axis + xs[0].shape().rank() : axis;
  const bool codes = same_grid(xs);
  std::vector<Tensor> values;
  for (const Variable& x : xs) values.push_back(codes ? x.value() : real_operand("concat", "x", x));
  Tensor y = Tensor::empty(check(values, from_start), values[0].dtype());
  for_each_block(y, values, from_start,
                 [](std::byte* to, const std::byte* from, size_t n) { std::memcpy(to, from, n); });
  if (codes) y = y.with_qparams(values[0].qparams());
  std::vector<Shape> shapes;
  for (const Tensor& value : values) shapes.push_back(value.shape());
  return record(
      "concat", xs, std::move(y),
      [shapes, from_start](const Tensor& gy) {
        std::vector<Tensor> gxs;
        for (const Shape& shape : shapes) gxs.push_back(Tensor::empty(shape, gy.dtype()));
        for_each_block(gy, gxs, from_start, [](const std::byte* from, std::byte* to, size_t n) {
          std::memcpy(to, from, n);
        });
        return gxs;
      },
      tracing() ? Attributes{{"axis", int64_t{from_start}}} : Attributes{});
}

const OpDef op_concat{"concat", apply};

}  // namespace stair::autograd
