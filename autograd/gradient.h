// Gradients as they pass along the tape.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "autograd/deferred.h"

namespace stair::autograd {

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
  Gradients(std::vector<Deferred> gradients) : list(std::move(gradients)) {}
  std::vector<Deferred> list;
};

}  // namespace stair::autograd
