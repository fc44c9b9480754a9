#include "apps/train/trainer.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <set>
#include <tuple>

#include "apps/program/environment.h"
#include "apps/program/report.h"
#include "apps/program/signals.h"
#include "apps/train/frozen.h"
#include "core/cpu.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/text.h"

namespace stair::apps {
namespace {

constexpr int kMostFailedSaves = 3;

bool is_valid_checkpoint(const std::string& path) {
  try {
    (void)load_checkpoint(path);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// A file that is no checkpoint of ours gets a hint for what it may be.
Checkpoint load_named(const std::string& path) {
  try {
    return load_checkpoint(path);
  } catch (const FormatError& error) {
    const bool weights =
        path.ends_with(".safetensors") || path.ends_with(".pth") || path.ends_with(".pt");
    if (weights) throw FormatError(error.what(), "a file of weights starts a run with --weights");
    throw;
  }
}

}  // namespace

Trainer::Trainer(TrainConfig config, const Options& options,
                 const std::vector<std::string>& arguments)
    : config_(std::move(config)), json_(options.json()), quiet_(options.quiet()) {
  autograd::set_grad_precision(grad_precision_of(config_.grad_precision));
  if (config_.threads > 0) set_num_threads(config_.threads);
  open_data();
  state_.random = Random(config_.data.seed, 1).state();
  model_ = build_float(config_.model, classes_, config_.data.train_crop_size, config_.data.seed,
                       [this](const std::string& text) { say(text); });
  // What cannot be quantized as asked for is found before hours of float training.
  if (*config_.float_epochs < config_.epochs) (void)build_qat(*model_, config_);
  check_export(config_.exported, config_.model.model, config_.overwrite || !config_.resume.empty());
  make_schedule();
  make_optimizer();
  if (config_.epochs > 0 || !config_.resume.empty()) open_folder(options);
  if (!config_.resume.empty()) resume();
  autograd::default_random() = Random(state_.random);
  if (folder_) {
    folder_->describe(options.to_toml(), environment(), "qat_train", arguments);
    std::optional<int64_t> resumed;
    if (state_.step > 0 || state_.epoch > 0)
      resumed = state_.batch > 0 ? state_.step - 1 : state_.step;
    metrics_ = std::make_unique<MetricsLog>(folder_->file("metrics.jsonl"), resumed);
  }
  int64_t parameters = 0;
  for (const nn::NamedVariable& p : model_->named_parameters())
    parameters += p.variable.value().numel();
  say(str(config_.model.model, ": ", human_count(static_cast<double>(parameters)), " parameters, ",
          classes_, " classes | train ", sets_.train->size(), " val ", sets_.val->size(),
          config_.data.data_path.empty() ? " drawn pictures | " : " pictures | ", num_threads(),
          " threads, ", active_isa()));
}

void Trainer::say(const std::string& text) const {
  if (!quiet_) std::cerr << text << std::endl;
}

void Trainer::result(const std::string& text) const {
  if (!quiet_) (json_ ? std::cerr : std::cout) << text << std::endl;
}

ProgressLook Trainer::look(int64_t every) const {
  return {terminal_of(2), every, quiet_, "img"};
}

void Trainer::open_data() {
  sets_ = open_datasets(config_.data, true);
  const int64_t on_disk = static_cast<int64_t>(sets_.class_names.size());
  classes_ = config_.model.num_classes.value_or(on_disk);
  if (on_disk > classes_)
    throw ConfigError(
        str("the data has ", on_disk, " classes, the model ", classes_, " outputs"),
        "leave --num-classes out, or use --reset-head with weights of another number of classes");
  train_ = std::make_unique<data::Loader>(sets_.train, train_transform(config_.data),
                                          train_loader_options(config_.data));
  val_ = std::make_unique<data::Loader>(sets_.val, val_transform(config_.data),
                                        val_loader_options(config_.data));
  if (const int64_t skipped = sets_.train->skipped_files() + sets_.val->skipped_files();
      skipped > 0)
    say(str(skipped, " files skipped by suffix"));
}

void Trainer::open_folder(const Options& options) {
  const bool resuming = !config_.resume.empty();
  if (resuming && config_.resume != "auto" && !options.given("--output-dir"))
    config_.output_dir = folder_exists(config_.resume) ? config_.resume : folder_of(config_.resume);
  folder_ = std::make_unique<RunFolder>(
      RunFolderOptions{config_.output_dir, resuming, config_.overwrite});
  for (const std::string& note : folder_->notes()) say(note);
}

Checkpoint Trainer::newest_checkpoint(const std::string& folder) {
  std::string reason;
  for (const std::string& path : numbered_checkpoints(folder)) {
    try {
      Checkpoint checkpoint = load_checkpoint(path);
      say(str("resuming from ", path));
      return checkpoint;
    } catch (const FormatError& error) {
      reason = error.what();
      say(str("skipped ", path, ": ", reason));
    }
  }
  if (!reason.empty())
    throw FormatError(
        str("no checkpoint in '", folder, "' can be read; the last one tried: ", reason));
  return {};
}

void Trainer::resume() {
  const bool is_folder = config_.resume == "auto" || folder_exists(config_.resume);
  const std::string where = config_.resume == "auto" ? config_.output_dir : config_.resume;
  const Checkpoint checkpoint = is_folder ? newest_checkpoint(where) : load_named(where);
  if (checkpoint.state.empty()) {
    say(str("no checkpoint in '", where, "', starting from the beginning"));
    return;
  }
  check_settings(checkpoint.settings, settings(), where);
  state_ = checkpoint.progress;
  // At the end of an epoch the network is that epoch's, and the next one's bits may be others.
  if (checkpoint.progress.qat) enter_qat(qat_epoch() - (state_.batch == 0 ? 1 : 0));
  restore(checkpoint, *model_, config_.model.allow_nonfinite);
  optimizer_->load_state(checkpoint.optimizer);
  if (!checkpoint.progress.qat) return;
  low_bit_->load_state(checkpoint.low_bit);
  health_.load_state(checkpoint.low_bit);
}

// What must not change while a run goes on: bits of the result depend on it.
Json Trainer::settings() const {
  Json j = Json::object();
  j.set("preset", config_.preset);
  j.set("quantizer", config_.quantizer);
  j.set("wbits", config_.wbits);
  j.set("abits", config_.abits);
  j.set("w_observer", config_.w_observer);
  j.set("a_observer", config_.a_observer);
  j.set("first_last_8_bits", config_.first_last_8_bits);
  j.set("add_operands_8_bits", config_.add_operands_8_bits);
  j.set("group_size", config_.group_size);
  j.set("exclude", join(config_.layers.exclude));
  j.set("include", join(config_.layers.include));
  if (!config_.layers.mapping.is_null()) j.set("qconfig_mapping", config_.layers.mapping);
  if (!config_.layers.backend.is_null()) j.set("backend_config", config_.layers.backend);
  j.set("grad_precision", config_.grad_precision);
  const LowBitConfig& low_bit = config_.low_bit;
  j.set("scale_init", config_.init);
  j.set("distill", low_bit.distill);
  j.set("weight_mean", low_bit.weight_mean);
  j.set("oscillations", low_bit.track_oscillations || low_bit.freeze_oscillations > 0);
  j.set("layer_wbits", join(config_.layers.wbits));
  j.set("progressive_bits", join(low_bit.progressive_texts));
  j.set("opt", config_.opt);
  j.set("batch_size", config_.data.batch_size);
  j.set("train_batches", config_.data.train_batches);
  j.set("seed", config_.data.seed);
  return j;
}

void Trainer::make_optimizer() {
  std::vector<nn::NamedVariable> plain;
  nn::ParameterGroup learned{
      {}, config_.low_bit.scale_lr_factor, config_.low_bit.scale_weight_decay};
  const std::set<const void*> of_quantizers = qat::learned_parameters(*model_);
  for (const nn::NamedVariable& p : model_->named_parameters())
    (of_quantizers.contains(p.variable.id()) ? learned.parameters : plain).push_back(p);
  std::vector<nn::ParameterGroup> groups = nn::decay_groups(plain, config_.weight_decay);
  if (!learned.parameters.empty()) groups.push_back(std::move(learned));
  if (config_.opt == "sgd") {
    autograd::SgdOptions options;
    options.momentum = config_.momentum;
    options.nesterov = config_.nesterov;
    optimizer_ = std::make_unique<nn::Sgd>(std::move(groups), options);
  } else {
    autograd::AdamOptions options;
    options.decoupled = config_.opt == "adamw";
    optimizer_ = std::make_unique<nn::Adam>(std::move(groups), options);
  }
}

void Trainer::make_schedule() {
  const int64_t steps = train_->batches();
  schedule_.kind = nn::schedule_kind(config_.lr_scheduler);
  schedule_.total_steps = std::max<int64_t>(config_.epochs * steps, 1);
  schedule_.step_size = config_.lr_step_size * steps;
  for (const std::string& epoch : config_.lr_milestones)
    schedule_.milestones.push_back(static_cast<int64_t>(std::stoll(epoch)) * steps);
  schedule_.gamma = config_.lr_gamma;
  schedule_.lr_min = *config_.lr > 0 ? config_.lr_min / *config_.lr : 0;
  schedule_.warmup_steps = config_.lr_warmup_epochs * steps;
  schedule_.warmup =
      config_.lr_warmup_method == "linear" ? nn::Warmup::linear : nn::Warmup::constant;
  schedule_.warmup_factor = config_.lr_warmup_decay;
  nn::check_schedule(schedule_);
}

TrainConfig Trainer::config_of_epoch(int64_t epoch) const {
  TrainConfig c = config_;
  const std::vector<int>& bits = c.low_bit.progressive_bits;
  const auto stages = static_cast<int64_t>(bits.size()) + 1;
  const int64_t epochs = std::max<int64_t>(config_.epochs - *config_.float_epochs, 1);
  const int64_t stage = std::clamp<int64_t>(epoch * stages / epochs, 0, stages - 1);
  if (stage + 1 == stages) return c;
  const int of_stage = bits[static_cast<size_t>(stage)];
  c.wbits = std::max(c.wbits, of_stage);
  c.abits = std::max(c.abits, of_stage);
  for (std::string& text : c.layers.wbits) {
    const LayerBits layer = layer_bits(text);
    text = str(layer.pattern, "=", std::max(layer.bits, of_stage));
  }
  return c;
}

double Trainer::qat_progress() const {
  const int64_t before = *config_.float_epochs * train_->batches();
  const int64_t all = config_.epochs * train_->batches() - before;
  return static_cast<double>(state_.step - before) / static_cast<double>(std::max<int64_t>(all, 1));
}

void Trainer::enter_qat(int64_t epoch) {
  if (!float_model_) float_model_ = model_;
  const TrainConfig config = config_of_epoch(epoch);
  // The teacher of the first stage stays: the float network shares the parameters that train.
  std::shared_ptr<nn::GraphModule> teacher;
  if (low_bit_)
    teacher = low_bit_->teacher();
  else if (config_.low_bit.distill > 0)
    teacher = std::static_pointer_cast<nn::GraphModule>(float_model_->clone());
  stage_ = config;
  QatNetwork qat = build_qat(*float_model_, config);
  model_ = qat.graph;
  low_bit_ = std::make_unique<LowBitHelp>(config_.low_bit, *model_, std::move(teacher));
  health_ = HealthLog();
  make_optimizer();
  state_.qat = true;
  steps_in_form_ = 0;
  const int64_t floats = float_operations(qat.report);
  if (folder_)
    write_file(folder_->file("quantization.txt"), std::string_view(qat::to_string(qat.report)));
  say(str("quantization: ", config_.quantizer, ", weights ", config.wbits, " bits, activations ",
          config.abits, " bits, ", qat.report.size() - static_cast<size_t>(floats),
          " operations on integers, ", floats, " float"));
}

void Trainer::begin_epoch() {
  const bool quantized = qat_epoch() >= 0;
  const auto bits = [&](int64_t epoch) {
    const TrainConfig c = config_of_epoch(epoch);
    return std::tuple(c.wbits, c.abits, c.layers.wbits);
  };
  // Another stage of the bits begins; a run that resumes inside one has it already.
  const bool next_stage = quantized && state_.qat && state_.batch == 0 && qat_epoch() > 0 &&
                          bits(qat_epoch()) != bits(qat_epoch() - 1);
  if (quantized && (!state_.qat || next_stage)) enter_qat(qat_epoch());
  if (!quantized) return;
  int64_t of_stage = 0;
  while (of_stage < qat_epoch() && bits(qat_epoch()) == bits(qat_epoch() - of_stage - 1))
    ++of_stage;
  if (of_stage >= config_.num_observer_update_epochs) qat::enable_observers(*model_, false);
  if (qat_epoch() >= config_.num_batch_norm_update_epochs) qat::freeze_batch_norm(*model_, true);
}

int Trainer::run() {
  if (config_.epochs == 0) {
    evaluate_only();
    return 0;
  }
  if (state_.epoch >= config_.epochs) {
    say(str("all ", config_.epochs, " epochs are done; more come with a larger --epochs"));
    print_json(Json::object().set("epoch", state_.epoch).set("step", state_.step));
    return 0;
  }
  watch_signals();
  while (state_.epoch < config_.epochs) {
    begin_epoch();
    if (!train_epoch() || !finish_epoch()) return stop();
    if (stop_requested()) return stop();
  }
  report_tolerated();
  print_json(last_record_);
  const std::string best = folder_->file("best.int8");
  if (file_exists(best)) {
    result(str("best int8: epoch ", state_.best_epoch + 1, ", top-1 ", fixed(state_.best_top1, 2),
               " | ", best));
    say("next: " + eval_command(best));
  }
  return 0;
}

// The command that scores the file on the pictures of this run.
std::string Trainer::eval_command(const std::string& file) const {
  std::string command = program_beside_this("qat_eval") + " " + file;
  const DataConfig& data = config_.data;
  if (data.data_path.empty()) return command;
  command += " --data-path " + data.data_path;
  if (data.val_dir != DataConfig().val_dir) command += " --val-dir " + data.val_dir;
  if (!data.classes.empty()) command += " --class-list " + data.classes;
  return command;
}

void Trainer::report_tolerated() const {
  for (const std::string& line :
       {tolerated("train", train_->summary()), tolerated("val", val_->summary())})
    if (!line.empty()) say(line);
}

// The one object of --json.
void Trainer::print_json(Json object) const {
  if (!json_) return;
  object.set("skipped_files", sets_.train->skipped_files() + sets_.val->skipped_files());
  object.set("damaged", train_->summary().damaged + val_->summary().damaged);
  object.set("bad_samples", train_->summary().bad.size() + val_->summary().bad.size());
  std::cout << object.dump() << std::endl;
}

void Trainer::evaluate_only() {
  const Score s = score(false).real;
  last_record_ = Json::object();
  last_record_.set("float_top1", s.top1());
  last_record_.set("float_top5", s.top5());
  last_record_.set("images", s.images);
  report_tolerated();
  print_json(last_record_);
  result(str("0 epochs: evaluated, nothing trained, nothing saved | float top-1 ",
             fixed(s.top1(), 2), " top-5 ", fixed(s.top5(), 2), " on ", s.images, " pictures"));
}

void Trainer::save(bool must_work) {
  state_.random = autograd::default_random().state();
  char name[64];
  std::snprintf(name, sizeof name, "checkpoint-%08lld.stair", static_cast<long long>(state_.step));
  std::vector<NamedTensor> of_qat;
  if (low_bit_) of_qat = low_bit_->state();
  for (NamedTensor& t : health_.state()) of_qat.push_back(std::move(t));
  try {
    folder_->restore();
    save_checkpoint(folder_->file(name), state_, settings(),
                    describe_network(state_.qat ? stage_ : config_, classes_, sets_.class_names),
                    *model_, *optimizer_, of_qat);
    failed_saves_ = 0;
    (void)prune_checkpoints(folder_->path(), config_.checkpoint_hist, is_valid_checkpoint);
  } catch (const IoError& error) {
    if (must_work || ++failed_saves_ >= kMostFailedSaves) throw;
    say(str("warning: ", error.what(), "; training goes on and tries again at the next save"));
  }
}

int Trainer::stop() {
  save(true);
  say(str("stopped in epoch ", state_.epoch + 1, " after step ", state_.step,
          ", state saved; go on with the same flags and --resume auto", " --output-dir ",
          folder_->path()));
  report_tolerated();
  print_json(Json::object()
                 .set("epoch", state_.epoch)
                 .set("step", state_.step)
                 .set("stopped", stop_exit_code()));
  return stop_exit_code();
}

}  // namespace stair::apps
