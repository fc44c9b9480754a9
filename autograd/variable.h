// Variables: tensors with a gradient, and the tape that their operations leave.
//
// Every operation makes one variable. When gradients are on and an input requires one, it also
// leaves a record: the nodes of its inputs and a function from the gradient of its result to those
// of its inputs. `backward` walks the records from the newest to the oldest, so sums are formed in
// one fixed order. A record keeps the values that its function captured and no others.
//
// A variable may hold integers with QParams (qat); its gradient is that of the real numbers they
// stand for, in float. Its value may be a formula until someone reads it (autograd/deferred.h).
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "autograd/gradient.h"
#include "core/attributes.h"
#include "core/random.h"
#include "core/tensor.h"

namespace stair::autograd {

struct Record;

// What batch norm needs to know of a value [...,C], gathered while it was written: for each channel
// the mean, the sum of the squared distances from it, and the extremes, NaN left out.
struct ChannelSums {
  explicit ChannelSums(size_t channels)
      : mean(channels), squares(channels), min(channels), max(channels) {}
  std::vector<double> mean, squares;
  std::vector<float> min, max;
};

// What the tape knows of a variable: everything but its value.
struct GradNode {
  Tensor grad;
  bool requires_grad = false;
  std::shared_ptr<Record> record;  // null: a leaf
};

class Variable {
 public:
  Variable() = default;
  explicit Variable(Deferred value, bool requires_grad = false);

  bool defined() const { return impl_ != nullptr; }
  const Tensor& value() const { return impl_->value.whole(); }
  // The same without asking for the whole of it.
  const Deferred& deferred() const { return impl_->value; }
  void set_value(Deferred value) {
    impl_->value = std::move(value);
    impl_->sums = nullptr;
  }
  // Null unless the operation that made the value gathered them.
  const std::shared_ptr<const ChannelSums>& sums() const { return impl_->sums; }
  void set_sums(std::shared_ptr<const ChannelSums> sums) { impl_->sums = std::move(sums); }
  const Shape& shape() const { return impl_->value.shape(); }
  int64_t size(int dim) const { return shape()[dim]; }
  DType dtype() const { return impl_->value.dtype(); }
  bool quantized() const { return impl_->value.quantized(); }

  // Whether `backward` reaches this variable. Undefined variables require no gradient.
  bool requires_grad() const { return impl_ != nullptr && impl_->node->requires_grad; }
  void set_requires_grad(bool on) { impl_->node->requires_grad = on; }
  // Of leaves only: the sum of the gradients since the last zero_grad; undefined when there was
  // none.
  const Tensor& grad() const { return impl_->node->grad; }
  void set_grad(Tensor grad) { impl_->node->grad = std::move(grad); }
  void zero_grad() { impl_->node->grad = Tensor(); }

  // Adds the gradients of this variable to those of all leaves it was made from. `gy` has this
  // variable's shape; without it the variable must have one element, whose gradient is 1. The tape
  // is used up.
  void backward(Tensor gy = Tensor()) const;
  // A way to make the value anew, with the same bits, from what is kept anyway; null: none is
  // known. See autograd/recompute.h.
  using Remake = std::shared_ptr<const std::function<Deferred()>>;
  const Remake& remake() const { return impl_->remake; }
  void set_remake(std::function<Deferred()> remake) {
    impl_->remake = std::make_shared<const std::function<Deferred()>>(std::move(remake));
  }
  // Null unless the operation that made this variable watches its gradient.
  const std::shared_ptr<GradientWatch>& watch() const { return impl_->watch; }
  void set_watch(std::shared_ptr<GradientWatch> watch) { impl_->watch = std::move(watch); }
  // The same value without a tape.
  Variable detach() const { return Variable(impl_->value); }
  // Tells variables apart.
  const void* id() const { return impl_.get(); }

 private:
  friend Variable record(const char*, std::vector<Variable>, Deferred,
                         std::function<Gradients(const Deferred&)>, const Attributes&);
  struct Impl {
    Deferred value;
    std::shared_ptr<GradNode> node;
    Remake remake;
    std::shared_ptr<GradientWatch> watch;
    std::shared_ptr<const ChannelSums> sums;
  };
  std::shared_ptr<Impl> impl_;
};

// From the gradient of an operation's result to those of its inputs.
using Backward = std::function<Gradients(const Deferred& gy)>;

struct Record {
  const char* op;
  uint64_t sequence;
  int layer;  // of the profile that was on, see autograd/profile.h
  std::vector<std::shared_ptr<GradNode>> inputs;  // null where absent
  Backward backward;
  // Frees the records that only this one holds in a loop, so that no depth of a tape uses up the
  // stack.
  ~Record();
};

// The variable an operation made: value `y`, and a record when gradients are on and an input
// requires one. Optional inputs that are absent are undefined variables. `attributes` are what a
// capture needs to repeat the operation; leave them out unless `tracing()`.
Variable record(const char* op, std::vector<Variable> inputs, Deferred y, Backward backward,
                const Attributes& attributes = {});

// No records are made while one lives.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};
bool grad_enabled();

// Sees every operation of this thread while it is installed.
class Tracer {
 public:
  virtual ~Tracer() = default;
  virtual void operation(const char* op, const std::vector<Variable>& inputs,
                         const Attributes& attributes, const Variable& y) = 0;
};
bool tracing();
// Installs a tracer for a scope.
class TraceScope {
 public:
  explicit TraceScope(Tracer* tracer);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  Tracer* before_;
};

// The stream that operations with chance (dropout) draw from; training saves its state.
Random& default_random();

}  // namespace stair::autograd
