#include "nn/optimizer.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/parallel.h"
#include "core/text.h"

namespace stair::nn {
namespace {

// Refuses numbers outside [low, high).
void require_in(const char* what, double value, double low, double high) {
  if (!(value >= low && value < high))
    throw ConfigError(str("optimizer: ", what, " ", value, ", expected at least ", low,
                          std::isfinite(high) ? str(" and less than ", high) : ", finite"));
}

constexpr double kAnyFinite = HUGE_VAL;

// The value saved under `name`, which must be like `wanted`.
const Tensor& saved(std::span<const NamedTensor> state, const std::string& name, const Shape& shape,
                    DType dtype) {
  for (const NamedTensor& entry : state) {
    if (entry.name != name) continue;
    if (entry.tensor.shape() != shape || entry.tensor.dtype() != dtype)
      throw FormatError(str("optimizer: state '", printable(name), "' is ", entry.tensor,
                            ", expected ", shape, " ", dtype));
    return entry.tensor;
  }
  throw FormatError(str("optimizer: state '", printable(name), "' is missing"),
                    "the state was saved by another optimizer or for another model");
}

}  // namespace

bool decays(const NamedVariable& p) {
  return p.variable.shape().rank() > 1 && !p.name.ends_with("scale");
}

std::vector<ParameterGroup> decay_groups(const std::vector<NamedVariable>& parameters,
                                         double weight_decay) {
  std::vector<ParameterGroup> groups(2);
  groups[0].weight_decay = weight_decay;
  for (const NamedVariable& p : parameters) groups[decays(p) ? 0 : 1].parameters.push_back(p);
  std::erase_if(groups, [](const ParameterGroup& g) { return g.parameters.empty(); });
  return groups;
}

Optimizer::Optimizer(std::vector<ParameterGroup> groups) {
  std::set<const void*> known;
  std::set<std::string> names;
  for (const ParameterGroup& group : groups) {
    require_in("lr_factor", group.lr_factor, 0, kAnyFinite);
    require_in("weight_decay", group.weight_decay, 0, kAnyFinite);
    for (const NamedVariable& p : group.parameters) {
      if (!known.insert(p.variable.id()).second || !names.insert(p.name).second)
        throw ConfigError(str("optimizer: parameter '", p.name, "' occurs twice"));
      entries_.push_back({p, group.lr_factor, group.weight_decay, 0, {}});
    }
  }
}

void Optimizer::step(double lr) {
  require_in("lr", lr, 0, kAnyFinite);
  constexpr int64_t kElements = 1 << 14;
  std::vector<Piece> pieces;
  for (Entry& entry : entries_) {
    const Tensor& p = entry.parameter.variable.value();
    if (!entry.parameter.variable.grad().defined()) continue;
    const MemoryScope memory(MemoryKind::optimizer);
    if (entry.slots.empty())
      for (size_t i = 0; i < slot_names().size(); ++i)
        entry.slots.push_back(Tensor::zeros(p.shape(), p.dtype()));
    ++entry.steps;
    for (int64_t begin = 0; begin < p.numel(); begin += kElements)
      pieces.push_back({&entry, begin, std::min(begin + kElements, p.numel())});
  }
  parallel_tasks(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    const Piece& piece = pieces[static_cast<size_t>(i)];
    update(piece, lr * piece.entry->lr_factor);
  });
}

void Optimizer::zero_grad() {
  for (Entry& entry : entries_) entry.parameter.variable.zero_grad();
}

std::vector<NamedVariable> Optimizer::parameters() const {
  std::vector<NamedVariable> out;
  for (const Entry& entry : entries_) out.push_back(entry.parameter);
  return out;
}

std::vector<NamedTensor> Optimizer::save_state() const {
  std::vector<NamedTensor> state;
  const std::vector<std::string> names = slot_names();
  for (const Entry& entry : entries_) {
    state.push_back({entry.parameter.name + "/step", Tensor::full<int64_t>({}, entry.steps)});
    for (size_t i = 0; i < entry.slots.size(); ++i)
      state.push_back({str(entry.parameter.name, '/', names[i]), entry.slots[i].clone()});
  }
  return state;
}

void Optimizer::load_state(std::span<const NamedTensor> state) {
  const MemoryScope memory(MemoryKind::optimizer);
  std::vector<Entry> loaded = entries_;
  const std::vector<std::string> names = slot_names();
  size_t used = 0;
  for (Entry& entry : loaded) {
    const std::string& name = entry.parameter.name;
    const Tensor& p = entry.parameter.variable.value();
    entry.steps = saved(state, name + "/step", {}, DType::s64).item<int64_t>();
    entry.slots.clear();
    ++used;
    for (size_t i = 0; entry.steps > 0 && i < names.size(); ++i, ++used)
      entry.slots.push_back(saved(state, str(name, '/', names[i]), p.shape(), p.dtype()).clone());
  }
  if (used != state.size())
    throw FormatError(str("optimizer: the state has ", state.size(), " tensors, ", used,
                          " belong to these parameters"),
                      "the state was saved by another optimizer or for another model");
  entries_ = std::move(loaded);
}

Sgd::Sgd(std::vector<ParameterGroup> groups, const autograd::SgdOptions& options)
    : Optimizer(std::move(groups)), options_(options) {
  require_in("momentum", options.momentum, 0, kAnyFinite);
  require_in("dampening", options.dampening, 0, kAnyFinite);
  if (options.nesterov && (options.momentum == 0 || options.dampening != 0))
    throw ConfigError(str("optimizer: Nesterov with momentum ", options.momentum, " and dampening ",
                          options.dampening, ", expected a momentum and no dampening"));
}

std::vector<std::string> Sgd::slot_names() const {
  return options_.momentum != 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{};
}

void Sgd::update(const Piece& piece, double lr) const {
  const Entry& entry = *piece.entry;
  autograd::SgdOptions o = options_;
  o.lr = lr;
  o.weight_decay = entry.weight_decay;
  autograd::sgd_step(piece.value(), piece.grad(),
                     entry.slots.empty() ? Tensor() : piece.of(entry.slots[0]), entry.steps == 1,
                     o);
}

Adam::Adam(std::vector<ParameterGroup> groups, const autograd::AdamOptions& options)
    : Optimizer(std::move(groups)), options_(options) {
  require_in("beta1", options.beta1, 0, 1);
  require_in("beta2", options.beta2, 0, 1);
  require_in("eps", options.eps, 0, kAnyFinite);
}

std::vector<std::string> Adam::slot_names() const {
  return {"exp_avg", "exp_avg_sq"};
}

void Adam::update(const Piece& piece, double lr) const {
  const Entry& entry = *piece.entry;
  autograd::AdamOptions o = options_;
  o.lr = lr;
  o.weight_decay = entry.weight_decay;
  autograd::adam_step(piece.value(), piece.grad(), piece.of(entry.slots[0]),
                      piece.of(entry.slots[1]), entry.steps, o);
}

}  // namespace stair::nn
