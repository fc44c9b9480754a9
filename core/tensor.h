// Dense row-major tensors.
#pragma once

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/error.h"
#include "core/qparams.h"
#include "core/shape.h"
#include "core/storage.h"

namespace stair {

// A handle to shared memory: copying a Tensor copies no elements, and constness is of the handle.
// A tensor with QParams holds integers q that stand for (q - zero_point) * scale.
class Tensor {
 public:
  Tensor() = default;
  static Tensor empty(Shape shape, DType dtype);
  static Tensor zeros(Shape shape, DType dtype);
  template <class T>
  static Tensor full(Shape shape, T value);
  template <class T>
  static Tensor from(const std::vector<T>& values, Shape shape);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int64_t size(int dim) const { return shape_[dim]; }
  int64_t numel() const { return numel_; }
  DType dtype() const { return dtype_; }
  size_t bytes() const { return bytes_of(dtype_, numel_); }
  size_t element_size() const { return bytes_of(dtype_, 1); }

  // Elements in memory that is there, from byte `offset` on.
  static Tensor view(std::shared_ptr<std::byte> memory, size_t offset, Shape shape, DType dtype);

  // The elements. Throws DTypeError when T is not the element type.
  template <class T>
  T* data() const {
    if (dtype_ != dtype_of<T>) wrong_dtype(dtype_of<T>);
    return reinterpret_cast<T*>(raw());
  }
  std::byte* raw() const { return storage_.get() + offset_; }
  // The single element of a tensor with one. Throws ShapeError when there are more.
  template <class T>
  T item() const;

  // The same memory with another shape. Throws ShapeError when the counts differ.
  Tensor reshape(Shape shape) const;
  // Rows [begin, end) of the first dimension, the same memory.
  Tensor slice(int64_t begin, int64_t end) const;
  Tensor clone() const;
  // Copies the elements of `other`, which must have this shape and dtype.
  void copy_from(const Tensor& other);
  // Whether no other tensor shares the memory.
  bool unique() const { return storage_.use_count() == 1; }

  bool quantized() const { return qparams_ != nullptr; }
  const QParams& qparams() const;
  // The same memory with (other) quantization parameters.
  Tensor with_qparams(QParams qparams) const;

 private:
  [[noreturn]] void wrong_dtype(DType asked) const;

  std::shared_ptr<std::byte> storage_;
  size_t offset_ = 0;
  Shape shape_;
  int64_t numel_ = 0;
  DType dtype_ = DType::f32;
  std::shared_ptr<const QParams> qparams_;
};

// Prints as [8,56,56,64] f32.
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

template <class T>
Tensor Tensor::full(Shape shape, T value) {
  Tensor t = empty(std::move(shape), dtype_of<T>);
  for (int64_t i = 0; i < t.numel_; ++i) t.data<T>()[i] = value;
  return t;
}

template <class T>
Tensor Tensor::from(const std::vector<T>& values, Shape shape) {
  if (shape.numel() != static_cast<int64_t>(values.size()))
    throw ShapeError(str("Tensor::from: ", values.size(), " values do not fill shape ", shape));
  Tensor t = empty(std::move(shape), dtype_of<T>);
  std::memcpy(t.raw(), values.data(), t.bytes());
  return t;
}

template <class T>
T Tensor::item() const {
  if (numel_ != 1) throw ShapeError(str("item: tensor has ", numel_, " elements, expected 1"));
  return *data<T>();
}

}  // namespace stair
