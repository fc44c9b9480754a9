// Memory for time: results that are cheap to make again are not kept for the backward.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// While one lives (and is on), operations of this thread whose result costs little beside the
// backward that reads it offer a way to make it again: convolutions of integers and batch norms.
// Results and gradients have the same bits.
class Recompute {
 public:
  explicit Recompute(bool on = true);
  ~Recompute();
  Recompute(const Recompute&) = delete;
  Recompute& operator=(const Recompute&) = delete;

 private:
  bool before_;
};
bool recompute_enabled();

// The value of an input as a backward needs it: kept, or made again where it is known how. A value
// in pieces stays a formula.
class Kept {
 public:
  explicit Kept(const Variable& x);
  Tensor get() const { return deferred().whole(); }
  Deferred deferred() const { return remake_ ? (*remake_)() : value_; }
  const Shape& shape() const { return shape_; }

 private:
  Deferred value_;
  Variable::Remake remake_;
  Shape shape_;
};

}  // namespace stair::autograd
