#include "core/tensor.h"

namespace stair {
namespace {

MemoryKind kind_of(DType dtype) {
  switch (dtype) {
    case DType::u8:
    case DType::s8:
      return MemoryKind::codes;
    case DType::b1:
    case DType::s32:
      return MemoryKind::masks;
    default:
      return MemoryKind::reals;
  }
}

}  // namespace

Tensor Tensor::empty(Shape shape, DType dtype) {
  Tensor t;
  t.numel_ = shape.numel();
  t.shape_ = std::move(shape);
  t.dtype_ = dtype;
  t.storage_ = allocate(bytes_of(dtype, t.numel_), kind_of(dtype));
  return t;
}

Tensor Tensor::zeros(Shape shape, DType dtype) {
  Tensor t = empty(std::move(shape), dtype);
  std::memset(t.raw(), 0, t.bytes());
  return t;
}

Tensor Tensor::view(std::shared_ptr<std::byte> memory, size_t offset, Shape shape, DType dtype) {
  Tensor t;
  t.numel_ = shape.numel();
  t.shape_ = std::move(shape);
  t.dtype_ = dtype;
  t.storage_ = std::move(memory);
  t.offset_ = offset;
  return t;
}

Tensor Tensor::reshape(Shape shape) const {
  if (shape.numel() != numel_)
    throw ShapeError(
        str("reshape: ", shape_, " has ", numel_, " elements, ", shape, " has ", shape.numel()));
  Tensor t = *this;
  t.shape_ = std::move(shape);
  return t;
}

Tensor Tensor::slice(int64_t begin, int64_t end) const {
  if (shape_.rank() == 0 || begin < 0 || begin > end || end > shape_[0])
    throw ShapeError(str("slice: rows [", begin, ",", end, ") of ", shape_));
  std::vector<int64_t> dims = shape_.dims();
  const int64_t row = dims[0] == 0 ? 0 : numel_ / dims[0];
  dims[0] = end - begin;
  Tensor t = *this;
  t.shape_ = Shape(std::move(dims));
  t.numel_ = t.shape_.numel();
  t.offset_ += bytes_of(dtype_, begin * row);
  return t;
}

Tensor Tensor::clone() const {
  Tensor t = empty(shape_, dtype_);
  std::memcpy(t.raw(), raw(), bytes());
  t.qparams_ = qparams_;
  return t;
}

void Tensor::copy_from(const Tensor& other) {
  if (shape_ != other.shape_ || dtype_ != other.dtype_)
    throw ShapeError(str("copy_from: ", other, " into ", *this));
  std::memcpy(raw(), other.raw(), bytes());
}

const QParams& Tensor::qparams() const {
  if (!qparams_) throw DTypeError(str("qparams: tensor ", *this, " is not quantized"));
  return *qparams_;
}

Tensor Tensor::with_qparams(QParams qparams) const {
  const size_t channels = qparams.per_channel() ? static_cast<size_t>(shape_[qparams.axis]) : 1;
  if (qparams.scale.size() != channels || qparams.zero_point.size() != channels)
    throw ShapeError(str("with_qparams: ", qparams.scale.size(), " scales and ",
                         qparams.zero_point.size(), " zero points for ", channels, " channels of ",
                         *this));
  Tensor t = *this;
  t.qparams_ = std::make_shared<const QParams>(std::move(qparams));
  return t;
}

void Tensor::wrong_dtype(DType asked) const {
  throw DTypeError(str("tensor ", *this, " was asked for as ", asked));
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  if (!tensor.defined()) return out << "undefined";
  return out << tensor.shape() << ' ' << tensor.dtype();
}

}  // namespace stair
