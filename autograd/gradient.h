// Gradients as they pass along the tape.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "core/tensor.h"

namespace stair::autograd {

// A gradient: a tensor, or a formula for any of its rows, which are all dimensions but the last one
// (the pixels of NHWC). A reader that takes it in pieces, each of which stays in the cache, spares
// the memory of the whole and two passes over it.
class Gradient {
 public:
  // Writes rows [begin, end) to `into`, f32; from several threads at once, too.
  using Rows = std::function<void(int64_t begin, int64_t end, float* into)>;
  using Reads = std::array<const float*, 2>;

  Gradient() = default;
  Gradient(Tensor whole) : whole_(std::move(whole)) {}
  // reads: f32 arrays of the same shape that the formula reads at the rows it writes.
  Gradient(Shape shape, Rows rows, Reads reads = {})
      : shape_(std::move(shape)), rows_(std::move(rows)), reads_(reads) {}

  bool defined() const { return whole_.defined() || rows_ != nullptr; }
  // Whether it is a formula that was not yet asked for the whole.
  bool in_pieces() const { return !whole_.defined() && rows_ != nullptr; }
  void rows(int64_t begin, int64_t end, float* into) const { rows_(begin, end, into); }
  const Reads& reads() const { return reads_; }

  // The whole; a formula is evaluated at the first call.
  const Tensor& whole() const;
  operator const Tensor&() const { return whole(); }

  // Adds another gradient; takes it over when there is none yet. Memory that others share is not
  // written to.
  void add(const Gradient& other);

 private:
  mutable Tensor whole_;
  Shape shape_;
  mutable Rows rows_;
  Reads reads_{};
};

// Of the result of an operation that reads its gradient while it is written. An operation that took
// the result as its only reader says in how many chunks it writes the gradient, and hears what f32
// array of the same shape is read beside it, or null; then it says of each chunk when rows [begin,
// end) stand at `gradient`, in the cache: chunks on any thread, the rows of a chunk in order.
struct GradientWatch {
  int readers = 0;
  std::function<const float*(int64_t count)> chunks;
  std::function<void(int64_t chunk, int64_t begin, int64_t end, const float* gradient)> written;
};

// The gradients of an operation's inputs, in their order; undefined where none is wanted.
struct Gradients {
  Gradients(const std::vector<Tensor>& tensors) : list(tensors.begin(), tensors.end()) {}
  Gradients(std::vector<Gradient> gradients) : list(std::move(gradients)) {}
  std::vector<Gradient> list;
};

}  // namespace stair::autograd
