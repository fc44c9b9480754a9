// Tensors that may still be formulas.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>

#include "core/pixels.h"
#include "core/storage.h"
#include "core/tensor.h"

namespace stair::autograd {

// A tensor, or a formula (f32) for any of its rows, which are all dimensions but the last one (the
// pixels of NHWC). A reader that takes it in pieces, each of which stays in the cache, spares the
// memory of the whole and two passes over it.
class Deferred {
 public:
  // Writes rows [begin, end) to `into`, f32; from several threads at once, too.
  using Rows = std::function<void(int64_t begin, int64_t end, float* into)>;
  using Reads = std::array<const float*, 2>;

  Deferred() = default;
  Deferred(Tensor whole) : whole_(std::move(whole)) {}
  // reads: f32 arrays of the same shape that the formula reads at the rows it writes.
  Deferred(Shape shape, Rows rows, Reads reads = {})
      : shape_(std::move(shape)), rows_(std::move(rows)), reads_(reads) {}

  // Throws ShapeError where bytes and values do not fit.
  explicit Deferred(Pixels pixels);

  bool defined() const { return whole_.defined() || rows_ != nullptr; }
  const Shape& shape() const { return in_pieces() ? shape_ : whole_.shape(); }
  DType dtype() const { return in_pieces() ? DType::f32 : whole_.dtype(); }
  // Elements of a row; 1 for a scalar.
  int64_t row_size() const { return shape().rank() > 0 ? shape()[-1] : 1; }
  bool quantized() const { return !in_pieces() && whole_.quantized(); }
  // Whether it is a formula that was not yet asked for the whole.
  bool in_pieces() const { return !whole_.defined() && rows_ != nullptr; }
  void rows(int64_t begin, int64_t end, float* into) const { rows_(begin, end, into); }
  // Of a formula: the pictures whose real numbers these are, or null.
  const Pixels* pixels() const { return in_pieces() ? pixels_.get() : nullptr; }
  const Reads& reads() const { return reads_; }
  // Of a formula: calls f(first, values) for one stretch of the elements after the other, from
  // several threads; values are those from element `first` on, a multiple of 64.
  void for_pieces(const std::function<void(int64_t first, std::span<float> values)>& f) const;

  // The whole; a formula is evaluated at the first call.
  const Tensor& whole() const;
  operator const Tensor&() const { return whole(); }

  // Adds another gradient; takes it over when there is none yet. Memory that others share is not
  // written to.
  void add(const Deferred& other);

 private:
  mutable Tensor whole_;
  Shape shape_;
  mutable Rows rows_;
  Reads reads_{};
  std::shared_ptr<const Pixels> pixels_;
};

// Rows [begin, end) of an f32 x: where they lie, or a copy that its formula writes.
class RowsOf {
 public:
  RowsOf(const Deferred& x, int64_t begin, int64_t end);
  const float* data() const { return data_; }

 private:
  Scratch copy_;
  const float* data_;
};

}  // namespace stair::autograd
