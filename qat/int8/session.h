// Running an Int8Graph on the CPU.
#pragma once

#include <memory>

#include "qat/int8/graph.h"

namespace stair::qat {

struct SessionOptions {
  bool fuse_residual =
      true;  // let a convolution add the other branch itself; the integers are the same
};

// Prepacks the weights for the active instruction set once; then runs pictures of any batch and
// size. Buffers are planned by lifetime in one block for each input shape. Exact on every
// instruction set and for any number of threads (numerics.md). One session serves one caller at a
// time; sessions are independent of each other.
class Int8Session {
 public:
  explicit Int8Session(Int8Graph graph, const SessionOptions& options = {});
  ~Int8Session();
  Int8Session(Int8Session&&) noexcept;

  // x [N,H,W,C] f32, normalised -> the last node's value, f32. Throws ShapeError, DTypeError naming
  // what was expected.
  Tensor run(const Tensor& x);
  // The codes (with QParams) or real numbers of one node for the last input, computed without
  // buffer reuse: for comparing layers.
  Tensor node_value(const Tensor& x, const std::string& name);

  const Int8Graph& graph() const;
  // Bytes of the planned block for the last input shape, and what the buffers would take without
  // reuse.
  size_t planned_bytes() const;
  size_t unplanned_bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stair::qat
