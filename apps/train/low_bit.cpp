#include "apps/train/low_bit.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "autograd/ops/add.h"
#include "autograd/ops/mul.h"
#include "nn/distill.h"

namespace stair::apps {
namespace {

// Of the paper on oscillations: freezing starts where almost nothing oscillates that often.
constexpr double kFirstThreshold = 0.1;
constexpr std::string_view kOscillation = "oscillation/";

// From `from` to `to` along half a cosine.
double cosine(double from, double to, double progress) {
  return to + (from - to) * (1 + std::cos(std::numbers::pi * progress)) / 2;
}

autograd::Variable times(const autograd::Variable& x, double factor) {
  return autograd::mul(x, autograd::Variable(Tensor::full<float>({1}, static_cast<float>(factor))));
}

std::vector<NamedTensor> with_prefix(const std::string& prefix, std::vector<NamedTensor> tensors) {
  for (NamedTensor& t : tensors) t.name = prefix + t.name;
  return tensors;
}

}  // namespace

LowBitHelp::LowBitHelp(const LowBitConfig& config, nn::GraphModule& model,
                       std::shared_ptr<nn::GraphModule> teacher)
    : config_(config), model_(model), teacher_(std::move(teacher)) {
  if (teacher_) teacher_->eval();
  if (config.track_oscillations || config.freeze_oscillations > 0) tracker_.emplace(model);
  parameters_ = model.named_parameters();
  if (config.weight_mean > 0)
    for (const nn::NamedVariable& p : parameters_) means_.push_back(p.variable.value().clone());
}

autograd::Variable LowBitHelp::loss(const autograd::Variable& loss,
                                    const autograd::Variable& logits,
                                    const autograd::Variable& pictures) {
  if (!teacher_) return loss;
  Tensor wanted;
  {
    const autograd::NoGrad no_grad;
    wanted = (*teacher_)(pictures).value();
  }
  const autograd::Variable distilled =
      nn::distillation_loss(logits, wanted, config_.distill_temperature);
  return autograd::add(times(loss, 1 - config_.distill), times(distilled, config_.distill));
}

void LowBitHelp::after_backward(double progress) {
  if (config_.dampening > 0)
    qat::add_dampening_gradients(model_, cosine(0, config_.dampening, progress));
}

void LowBitHelp::after_step(double progress) {
  const double threshold = config_.freeze_oscillations;
  if (tracker_)
    tracker_->step(threshold > 0 ? cosine(std::max(kFirstThreshold, threshold), threshold, progress)
                                 : 0);
  // The first steps count fully, so that the mean does not hang on the start.
  const double decay = std::min(config_.weight_mean,
                                static_cast<double>(steps_ + 1) / static_cast<double>(steps_ + 10));
  for (size_t i = 0; i < means_.size(); ++i) {
    const Tensor& value = parameters_[i].variable.value();
    for (int64_t k = 0; k < value.numel(); ++k) {
      float& mean = means_[i].data<float>()[k];
      mean += static_cast<float>(1 - decay) * (value.data<float>()[k] - mean);
    }
  }
  ++steps_;
}

void LowBitHelp::swap_means() {
  for (size_t i = 0; i < means_.size(); ++i) {
    Tensor value = parameters_[i].variable.value();
    const Tensor kept = value.clone();
    value.copy_from(means_[i]);
    means_[i].copy_from(kept);
  }
}

LowBitHelp::MeanScope::MeanScope(LowBitHelp* help) : help_(help) {
  if (help_) help_->swap_means();
}
LowBitHelp::MeanScope::~MeanScope() {
  if (help_) help_->swap_means();
}

std::vector<NamedTensor> LowBitHelp::state() const {
  std::vector<NamedTensor> state{{"steps", Tensor::full<int64_t>({1}, steps_)}};
  for (size_t i = 0; i < means_.size(); ++i)
    state.push_back({"mean/" + parameters_[i].name, means_[i].clone()});
  if (teacher_)
    for (const nn::NamedVariable& v : teacher_->named_state())
      state.push_back({"teacher/" + v.name, v.variable.value()});
  if (tracker_)
    for (NamedTensor& t : with_prefix(std::string(kOscillation), tracker_->state()))
      state.push_back(std::move(t));
  return state;
}

void LowBitHelp::load_state(std::span<const NamedTensor> state) {
  const auto take = [&](const std::string& name, Tensor to) {
    const auto found = std::find_if(state.begin(), state.end(),
                                    [&](const NamedTensor& t) { return t.name == name; });
    if (found == state.end() || found->tensor.shape() != to.shape() ||
        found->tensor.dtype() != to.dtype())
      throw FormatError(str("checkpoint: the low-bit state lacks '", name, "'"),
                        "resume with the flags of the run");
    to.copy_from(found->tensor);
  };
  const Tensor steps = Tensor::full<int64_t>({1}, 0);
  take("steps", steps);
  steps_ = *steps.data<int64_t>();
  for (size_t k = 0; k < means_.size(); ++k) take("mean/" + parameters_[k].name, means_[k]);
  if (teacher_)
    for (const nn::NamedVariable& v : teacher_->named_state())
      take("teacher/" + v.name, v.variable.value());
  if (!tracker_) return;
  std::vector<NamedTensor> of_tracker;
  for (const NamedTensor& t : state)
    if (t.name.starts_with(kOscillation))
      of_tracker.push_back({t.name.substr(kOscillation.size()), t.tensor});
  tracker_->load_state(of_tracker);
}

}  // namespace stair::apps
