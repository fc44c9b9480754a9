// Running an Int8Graph on the CPU.
//
//   qat::Int8Session session(qat::load_int8_graph("best.int8"));
//   Tensor logits = session.run(pictures);
#pragma once

#include <functional>
#include <memory>

#include "qat/int8/graph.h"

namespace stair::qat {

struct SessionOptions {
  bool fuse_residual =
      true;  // let a convolution add the other branch itself; the integers are the same
  size_t slice_bytes =
      size_t{16} << 20;  // buffers of the pictures of a batch that pass at once, if possible
};

// Prepacks the weights for the active instruction set once; then runs pictures of any batch and
// size. What a shape needs (steps, buffers planned by lifetime in one block) is kept for the last
// few shapes. A large batch passes in slices, so that its buffers stay in the last-level cache;
// in the first layers each thread takes one picture after the other (qat/int8/slice.h).
// Exact on every instruction set and for any number of threads (numerics.md). One session serves
// one caller at a time; sessions are independent of each other and may run at the same time on
// several threads.
class Int8Session {
 public:
  explicit Int8Session(Int8Graph graph, const SessionOptions& options = {});
  ~Int8Session();
  Int8Session(Int8Session&&) noexcept;

  // x [N,H,W,C] f32, normalised, or u8 pixels, which the graph's metadata mean_c and std_c
  // normalise ((pixel / 255 - mean) / std) -> the last node's value, f32 [N,...]. Pixels give the
  // bits that their f32 form gives. Throws ShapeError, DTypeError naming what was expected,
  // ConfigError for pixels that the metadata says nothing of.
  Tensor run(const Tensor& x);
  // The same into y, which is made anew unless it is f32 of the right shape. Allocates nothing when
  // the shape of x is one of the last few.
  void run(const Tensor& x, Tensor& y);
  // The codes (with QParams) or real numbers of one node for x, computed without buffer reuse: for
  // comparing layers.
  Tensor node_value(const Tensor& x, const std::string& name);
  // The same of every node but the input, in order, computed once. What `substitute` returns, of
  // the same shape and type, takes the value's place for the nodes that read it; undefined: nothing
  // does.
  using Substitute = std::function<Tensor(const Int8Node&, const Tensor&)>;
  void node_values(const Tensor& x,
                   const std::function<void(const Int8Node&, const Tensor&)>& visit,
                   const Substitute& substitute = {});

  const Int8Graph& graph() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stair::qat
