// Trainer: the steps of an epoch.
#include <chrono>
#include <cmath>
#include <cstring>
#include <iostream>

#include "apps/program/report.h"
#include "apps/program/signals.h"
#include "apps/train/nonfinite.h"
#include "apps/train/trainer.h"
#include "autograd/ops/cross_entropy.h"
#include "autograd/recompute.h"
#include "core/file.h"
#include "nn/gradients.h"

namespace stair::apps {
namespace {

int64_t count_hits(const Tensor& logits, const Tensor& labels) {
  const int64_t classes = logits.size(1);
  int64_t hits = 0;
  for (int64_t i = 0; i < logits.size(0); ++i) {
    const float* row = logits.data<float>() + i * classes;
    int64_t best = 0;
    for (int64_t c = 1; c < classes; ++c)
      if (row[c] > row[best]) best = c;
    hits += best == labels.data<int64_t>()[i] ? 1 : 0;
  }
  return hits;
}

// Buffers as they were before a step, for steps that are passed over.
class BufferSnapshot {
 public:
  explicit BufferSnapshot(const nn::Module& model) : buffers_(model.named_buffers()) {
    for (const nn::NamedVariable& b : buffers_) values_.push_back(b.variable.value().clone());
  }
  void restore() const {
    for (size_t i = 0; i < buffers_.size(); ++i) {
      Tensor value = buffers_[i].variable.value();
      value.copy_from(values_[i]);
    }
  }

 private:
  std::vector<nn::NamedVariable> buffers_;
  std::vector<Tensor> values_;
};

}  // namespace

Trainer::StepResult Trainer::step(const data::Batch& batch) {
  const bool on_integers = state_.qat && state_.step - *config_.float_epochs * train_->batches() >=
                                             config_.low_bit.quant_delay;
  if (state_.qat && config_.low_bit.quant_delay > 0) qat::enable_fake_quant(*model_, on_integers);
  autograd::CrossEntropyOptions options;
  options.label_smoothing = config_.label_smoothing;
  const autograd::Recompute recompute(config_.recompute);
  const autograd::Variable pictures{autograd::Deferred(batch.images)};
  const autograd::Variable logits = (*model_)(pictures);
  autograd::Variable loss = autograd::cross_entropy(logits, batch.labels, options);
  if (low_bit_) loss = low_bit_->loss(loss, logits, pictures);
  const double value = loss.value().item<float>();
  if (!std::isfinite(value)) return {value, 0, false};
  loss.backward();
  if (low_bit_) low_bit_->after_backward(qat_progress());
  const std::vector<nn::NamedVariable> parameters = model_->named_parameters();
  const double norm = config_.clip_grad_norm
                          ? nn::clip_grad_norm(parameters, *config_.clip_grad_norm)
                          : nn::gradient_norm(parameters);
  if (!std::isfinite(norm)) return {value, 0, false};
  optimizer_->step(*config_.lr * nn::lr_factor(schedule_, state_.step));
  if (low_bit_) low_bit_->after_step(qat_progress());
  if (on_integers && !health_.started()) health_.start(*model_, batch.images.reals());
  return {value, count_hits(logits.value(), batch.labels), true};
}

void Trainer::pass_over(const data::Batch& batch, double loss) {
  const int64_t tolerated = tolerated_nonfinite(config_.nonfinite);
  if (++state_.skipped_in_row <= tolerated) {
    optimizer_->zero_grad();
    say(str("warning: step ", state_.step, " is not finite and was passed over (",
            state_.skipped_in_row, " in a row)"));
    return;
  }
  const double lr = *config_.lr * nn::lr_factor(schedule_, state_.step);
  const std::string layer = first_nonfinite(*model_, batch.images.reals());
  Json diagnosis = Json::object(), samples = Json::array();
  for (int64_t sample : batch.samples) samples.push_back(sample);
  diagnosis.set("epoch", state_.epoch);
  diagnosis.set("step", state_.step);
  diagnosis.set("lr", lr);
  diagnosis.set("loss", json_number(loss));
  diagnosis.set("first_nonfinite", layer);
  diagnosis.set("samples", std::move(samples));
  const std::string path = folder_->file("nonfinite.json");
  write_file(path, std::string_view(diagnosis.dump(1)));
  throw NumericsError(str("training: loss or gradients are not finite at step ", state_.step,
                          ", learning rate ", lr, ", first in: ", layer,
                          "; the step was not applied, no checkpoint was replaced; see ", path),
                      "lower --lr, or pass over such steps with --nonfinite skip:N");
}

void Trainer::report_memory(MemoryReport& memory) const {
  end_memory_report(memory);
  say(str("memory of a ", qat_epoch() >= 0 ? "QAT" : "float", " step\n", to_string(memory)));
}

bool Trainer::train_epoch() {
  const int64_t batches = train_->batches();
  model_->train();
  const bool quantized = qat_epoch() >= 0;
  Progress progress(
      std::cerr, look(config_.print_freq),
      str(quantized ? "qat   " : "float ", "epoch ", state_.epoch + 1, "/", config_.epochs),
      batches, state_.batch);
  train_->start_epoch(state_.epoch, state_.batch);
  epoch_seconds_ = 0;
  epoch_images_ = 0;
  const bool may_skip = tolerated_nonfinite(config_.nonfinite) > 0;
  const auto start = std::chrono::steady_clock::now();
  while (state_.batch < batches) {
    // Memory is settled after two steps.
    const bool watched = config_.memory_report && steps_in_form_++ == 2;
    MemoryReport memory = watched ? begin_memory_report() : MemoryReport();
    const auto batch = train_->next();
    if (!batch) break;
    const std::optional<BufferSnapshot> before =
        may_skip ? std::optional<BufferSnapshot>(std::in_place, *model_) : std::nullopt;
    const StepResult result = step(*batch);
    if (result.finite) {
      optimizer_->zero_grad();
      state_.skipped_in_row = 0;
      state_.loss_sum += result.loss * static_cast<double>(batch->images.count());
      state_.seen += batch->images.count();
      state_.hits += result.hits;
    } else {
      if (may_skip) before->restore();
      pass_over(*batch, result.loss);
    }
    if (watched) report_memory(memory);
    ++state_.batch;
    ++state_.step;
    epoch_images_ += batch->images.count();
    progress.update(
        state_.batch, batch->images.count(),
        str("loss ",
            fixed(state_.loss_sum / std::max<double>(1, static_cast<double>(state_.seen)), 3)));
    if (stop_requested()) break;
    const bool due =
        config_.save_every > 0 && state_.step % config_.save_every == 0 && state_.batch < batches;
    if (due || take_save_request()) save(false);
  }
  epoch_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  progress.finish();
  return !stop_requested();
}

}  // namespace stair::apps
