#include "autograd/variable.h"

#include <atomic>
#include <map>

#include "autograd/profile.h"
#include "kernels/elementwise/elementwise.h"

namespace stair::autograd {
namespace {

thread_local bool grad_on = true;
thread_local Tracer* active_tracer = nullptr;

void count_bytes(const std::vector<Variable>& inputs, const Deferred& y) {
  size_t bytes = bytes_of(y.dtype(), y.shape().numel());
  for (const Variable& input : inputs)
    if (input.defined() && input.deferred().defined())
      bytes += bytes_of(input.dtype(), input.shape().numel());
  Profile::count_bytes(bytes);
}

}  // namespace

Variable::Variable(Deferred value, bool requires_grad) : impl_(std::make_shared<Impl>()) {
  impl_->value = std::move(value);
  impl_->node = std::make_shared<GradNode>();
  impl_->node->requires_grad = requires_grad;
}

Record::~Record() {
  // Inputs still to be let go by the outermost of the destructors that are running.
  thread_local std::vector<std::shared_ptr<GradNode>>* pending = nullptr;
  if (pending != nullptr) {
    for (std::shared_ptr<GradNode>& input : inputs) pending->push_back(std::move(input));
    return;
  }
  std::vector<std::shared_ptr<GradNode>> list = std::move(inputs);
  pending = &list;
  while (!list.empty()) {
    const std::shared_ptr<GradNode> last = std::move(list.back());
    list.pop_back();
  }
  pending = nullptr;
}

Variable record(const char* op, std::vector<Variable> inputs, Deferred y, Backward backward,
                const Attributes& attributes) {
  static std::atomic<uint64_t> next_sequence{0};
  Variable result(std::move(y));
  if (active_tracer != nullptr) active_tracer->operation(op, inputs, attributes, result);
  if (Profile::layer() >= 0) count_bytes(inputs, result.deferred());
  bool wanted = false;
  for (const Variable& input : inputs) wanted = wanted || input.requires_grad();
  if (grad_on && wanted) {
    std::vector<std::shared_ptr<GradNode>> nodes;
    for (const Variable& input : inputs) {
      nodes.push_back(input.defined() ? input.impl_->node : nullptr);
      if (input.defined() && input.watch()) ++input.watch()->readers;
    }
    result.impl_->node->requires_grad = true;
    result.impl_->node->record =
        std::make_shared<Record>(op, next_sequence.fetch_add(1, std::memory_order_relaxed),
                                 Profile::layer(), std::move(nodes), std::move(backward));
  }
  return result;
}

void Variable::backward(Tensor gy) const {
  if (!requires_grad()) throw ConfigError("backward: the variable requires no gradient");
  if (!gy.defined()) {
    if (shape().numel() != 1)
      throw ShapeError(
          str("backward: ", value(), " has no gradient given and more than one element"));
    gy = dtype() == DType::f64 ? Tensor::full<double>(shape(), 1) : Tensor::full<float>(shape(), 1);
  }
  if (gy.shape() != shape())
    throw ShapeError(str("backward: gradient ", gy, " for a variable of shape ", shape()));
  const MemoryScope memory(MemoryKind::backward);

  struct Pending {
    std::shared_ptr<Record> record;
    Deferred gradient;
  };
  std::map<uint64_t, Pending, std::greater<>> pending;
  const auto send = [&](const std::shared_ptr<GradNode>& to, const Deferred& g) {
    if (to == nullptr || !to->requires_grad || !g.defined()) return;
    if (to->record == nullptr) {
      // A copy among what lives long: left where it is, it would break up the room of the
      // gradients that come and go.
      const MemoryScope kept(MemoryKind::gradients);
      Deferred sum(to->grad);
      to->grad = Tensor();
      sum.add(sum.defined() ? g : Deferred(g.whole().clone()));
      to->grad = sum.whole();
    } else {
      Pending& entry = pending[to->record->sequence];
      entry.record = to->record;
      entry.gradient.add(g);
    }
  };
  send(impl_->node, gy);
  gy = Tensor();
  while (!pending.empty()) {
    Pending current = std::move(pending.begin()->second);
    pending.erase(pending.begin());
    Record& record = *current.record;
    if (!record.backward)
      throw ConfigError(
          str("backward: the tape of '", record.op, "' was used up by an earlier backward"));
    const LayerScope layer(record.layer, Pass::backward);
    std::vector<Deferred> gradients = record.backward(current.gradient).list;
    current.gradient = Deferred();
    record.backward = nullptr;
    const std::vector<std::shared_ptr<GradNode>> inputs = std::move(record.inputs);
    for (size_t i = 0; i < inputs.size(); ++i) {
      send(inputs[i], gradients[i]);
      gradients[i] = Deferred();
    }
  }
}

NoGrad::NoGrad() : before_(grad_on) {
  grad_on = false;
}
NoGrad::~NoGrad() {
  grad_on = before_;
}
bool grad_enabled() {
  return grad_on;
}

bool tracing() {
  return active_tracer != nullptr;
}
TraceScope::TraceScope(Tracer* tracer) : before_(active_tracer) {
  active_tracer = tracer;
}
TraceScope::~TraceScope() {
  active_tracer = before_;
}

Random& default_random() {
  thread_local Random random(0);
  return random;
}

}  // namespace stair::autograd
