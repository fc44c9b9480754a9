// Trainer: the scores after an epoch and what is written of them.
#include <iostream>

#include "apps/program/report.h"
#include "apps/program/signals.h"
#include "apps/train/frozen.h"
#include "apps/train/trainer.h"
#include "core/storage.h"

namespace stair::apps {

Trainer::EpochScores Trainer::score(bool with_int8) {
  const int64_t total = val_->batches();
  Progress progress(std::cerr, look(config_.print_freq), "val", total);
  const Network real = network_of(*model_, false);
  bool measured = !state_.qat;
  std::vector<Network> networks = {[&](const Tensor& images) {
    if (!measured) health_.measure(*model_, images, low_bit_ ? low_bit_->tracker() : nullptr);
    measured = true;
    return real(images);
  }};
  const bool check = with_int8 && config_.exported.check_freeze;
  std::optional<qat::Int8Session> session;
  if (with_int8) {
    session.emplace(deploy(*model_, config_.model, config_.data, sets_.class_names));
    networks.push_back(network_of(*session));
    if (check) networks.push_back(network_of(*model_));
  }
  EpochScores scores;
  EvaluateOptions options;
  int64_t batches = 0, seen = 0;
  options.progress = [&](int64_t done) {
    progress.update(++batches, done - seen);
    seen = done;
    scores.finished = !stop_requested();
    return scores.finished;
  };
  std::vector<Score> found = evaluate(networks, *val_, options);
  progress.finish();
  scores.real = std::move(found[0]);
  if (with_int8) {
    scores.int8 = std::move(found[1]);
    if (check) scores.quantized = std::move(found[2]);
    int64_t same = 0;
    for (size_t i = 0; i < scores.real.predictions.size(); ++i)
      same += scores.real.predictions[i] == scores.int8.predictions[i] ? 1 : 0;
    scores.agree = 100.0 * static_cast<double>(same) / static_cast<double>(scores.real.images);
  }
  return scores;
}

Json Trainer::record(const EpochScores& scores) const {
  const double seen = static_cast<double>(std::max<int64_t>(state_.seen, 1));
  Json j = Json::object();
  j.set("epoch", state_.epoch);
  j.set("phase", state_.qat ? "qat" : "float");
  j.set("step", state_.step);
  j.set("lr", *config_.lr * nn::lr_factor(schedule_, std::max<int64_t>(state_.step - 1, 0)));
  j.set("train_loss", json_number(state_.loss_sum / seen));
  j.set("train_top1", 100.0 * static_cast<double>(state_.hits) / seen);
  j.set("val_loss", json_number(scores.real.loss));
  j.set("float_top1", scores.real.top1());
  j.set("float_top5", scores.real.top5());
  if (scores.int8.images > 0) {
    j.set("int8_top1", scores.int8.top1());
    j.set("int8_top5", scores.int8.top5());
    j.set("int8_loss", json_number(scores.int8.loss));
    j.set("agree", scores.agree);
  }
  j.set("observers_frozen", state_.qat && qat_epoch() >= config_.num_observer_update_epochs);
  j.set("batch_norm_frozen", state_.qat && qat_epoch() >= config_.num_batch_norm_update_epochs);
  if (low_bit_ && low_bit_->tracker()) {
    j.set("oscillating", low_bit_->tracker()->oscillating());
    j.set("frozen", low_bit_->tracker()->frozen());
  }
  if (state_.qat) j.set("layers", health_.to_json());
  j.set("state_hash", state_hash(*model_, *optimizer_));
  j.set("images_per_second",
        json_number(epoch_seconds_ > 0 ? static_cast<double>(epoch_images_) / epoch_seconds_ : 0));
  j.set("seconds", epoch_seconds_);
  j.set("peak_bytes", static_cast<uint64_t>(memory_stats().peak_bytes));
  return j;
}

std::string Trainer::line(const EpochScores& scores) const {
  const double seen = static_cast<double>(std::max<int64_t>(state_.seen, 1));
  std::string text =
      str("epoch ", state_.epoch + 1, "/", config_.epochs, state_.qat ? " qat  " : " float",
          "  train loss ", fixed(state_.loss_sum / seen, 3), " acc1 ",
          fixed(100.0 * static_cast<double>(state_.hits) / seen, 1), "  |  val float ",
          fixed(scores.real.top1(), 2));
  if (scores.int8.images > 0)
    text += str(" int8 ", fixed(scores.int8.top1(), 2), " (agree ", fixed(scores.agree, 1), "%)");
  const double rate = epoch_seconds_ > 0 ? static_cast<double>(epoch_images_) / epoch_seconds_ : 0;
  return text + str("  |  ", fixed(rate, 0), " img/s");
}

void Trainer::write_int8(const EpochScores& scores) {
  qat::Int8Graph graph = deploy(*model_, config_.model, config_.data, sets_.class_names);
  graph.metadata.set("epoch", state_.epoch);
  graph.metadata.set("top1", scores.int8.top1());
  try {
    folder_->restore();
    qat::save_int8_graph(graph, folder_->file("last.int8"));
    if (scores.int8.top1() > state_.best_top1) {
      qat::save_int8_graph(graph, folder_->file("best.int8"));
      state_.best_top1 = scores.int8.top1();
      state_.best_epoch = state_.epoch;
    }
  } catch (const IoError& error) {
    if (state_.epoch + 1 == config_.epochs) throw;
    say(str("warning: ", error.what(), "; training goes on"));
  }
}

void Trainer::check_and_export(const EpochScores& scores) const {
  if (config_.exported.check_freeze) {
    require_equal_scores(scores.quantized, scores.int8);
    say("frozen, with the same scores");
  }
  if (config_.exported.folder.empty()) return;
  const qat::Int8Graph graph = qat::load_int8_graph(folder_->file("last.int8"));
  for (const std::string& path : export_frozen(config_.exported, config_.model.model, graph))
    say("wrote " + path);
}

// False when a signal came: the epoch is then scored again after resuming.
bool Trainer::finish_epoch() {
  const bool last = state_.epoch + 1 == config_.epochs;
  const bool with_int8 = state_.qat && (last || (qat_epoch() + 1) % config_.convert_every == 0);
  EpochScores scores;
  {
    const LowBitHelp::MeanScope means(low_bit_.get());
    scores = score(with_int8);
    if (!scores.finished) return false;
    if (with_int8) write_int8(scores);
  }
  last_record_ = record(scores);
  metrics_->write(last_record_);
  if (const std::string note = metrics_->take_note(); !note.empty()) say(note);
  result(line(scores));
  if (const std::string worst = health_.line(); state_.qat && !worst.empty()) say(worst);
  ++state_.epoch;
  state_.batch = 0;
  state_.loss_sum = 0;
  state_.seen = state_.hits = 0;
  save(last);
  if (last && with_int8) check_and_export(scores);
  return true;
}

}  // namespace stair::apps
