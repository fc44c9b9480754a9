// Quantization-aware training, end to end: float epochs, QAT epochs with frozen observers and batch
// norm at the end, int8 copies that are evaluated on the way, checkpoints that resume with the same
// bits.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/program/memory_report.h"
#include "apps/program/metrics_log.h"
#include "apps/program/progress.h"
#include "apps/program/run_folder.h"
#include "apps/train/checkpoint.h"
#include "apps/train/config.h"
#include "apps/train/data.h"
#include "apps/train/health_log.h"
#include "apps/train/low_bit.h"
#include "apps/train/network.h"
#include "nn/optimizer.h"
#include "nn/schedule.h"

namespace stair::apps {

// The run folder holds config.toml, env.json, command.txt, metrics.jsonl (an object an epoch),
// checkpoint-<step>.stair, best.int8 and last.int8.
class Trainer {
 public:
  // Opens data and model and, with --resume, the checkpoint.
  Trainer(TrainConfig config, const Options& options, const std::vector<std::string>& arguments);
  // The exit code: 0, or 130 / 143 after a signal, with the state saved.
  int run();

 private:
  struct EpochScores {
    Score real, int8;  // int8 without images: not evaluated
    Score quantized;   // what int8 froze, with --check-freeze
    double agree = 0;  // percent of pictures with the same class
    bool finished = true;
  };
  struct StepResult {
    double loss;
    int64_t hits;
    bool finite;
  };

  void open_folder(const Options& options);
  void open_data();
  void resume();
  Checkpoint newest_checkpoint(const std::string& folder);
  Json settings() const;
  void make_optimizer();
  void make_schedule();
  // With the bits of a QAT epoch.
  void enter_qat(int64_t epoch);
  void begin_epoch();
  // Bits of an epoch: those of its stage, at least the configuration's.
  TrainConfig config_of_epoch(int64_t qat_epoch) const;
  // From 0 to 1 through the QAT steps.
  double qat_progress() const;
  int64_t qat_epoch() const { return state_.epoch - *config_.float_epochs; }

  bool train_epoch();
  StepResult step(const data::Batch& batch);
  void report_memory(MemoryReport& memory) const;
  void pass_over(const data::Batch& batch, double loss);

  bool finish_epoch();
  EpochScores score(bool with_int8);
  void write_int8(const EpochScores& scores);
  void check_and_export(const EpochScores& scores) const;
  Json record(const EpochScores& scores) const;
  std::string line(const EpochScores& scores) const;
  void save(bool must_work);
  int stop();
  void evaluate_only();
  std::string eval_command(const std::string& file) const;
  void report_tolerated() const;
  void print_json(Json object) const;
  void say(const std::string& text) const;
  void result(const std::string& text) const;
  ProgressLook look(int64_t every) const;

  TrainConfig config_;
  bool json_, quiet_;
  Datasets sets_;
  int64_t classes_ = 0;
  std::unique_ptr<data::Loader> train_, val_;
  std::shared_ptr<nn::GraphModule> model_;
  std::shared_ptr<nn::GraphModule> float_model_;  // of QAT epochs; shares their parameters
  std::unique_ptr<LowBitHelp> low_bit_;           // of QAT epochs
  HealthLog health_;                              // of QAT epochs
  TrainConfig stage_;                             // with the bits of the stage that runs
  std::unique_ptr<nn::Optimizer> optimizer_;
  nn::Schedule schedule_;
  RunState state_;
  std::unique_ptr<RunFolder> folder_;
  std::unique_ptr<MetricsLog> metrics_;
  int failed_saves_ = 0;
  int64_t steps_in_form_ = 0;  // float or QAT, in this process
  double epoch_seconds_ = 0;   // of training, in this process
  int64_t epoch_images_ = 0;
  Json last_record_;
};

}  // namespace stair::apps
