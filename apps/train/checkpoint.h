// Checkpoints: everything a run needs to go on with the same bits.
#pragma once

#include <map>
#include <string>

#include "core/json.h"
#include "core/random.h"
#include "core/safetensors.h"
#include "nn/module.h"
#include "nn/optimizer.h"

namespace stair::apps {

// Where a run stands. Meters of an unfinished epoch are part of it, so that its figures come out
// the same.
struct RunState {
  int64_t epoch = 0;  // the one that is running, or the next
  int64_t batch = 0;  // batches of it that are done
  int64_t step = 0;   // optimizer steps of the run
  bool qat = false;   // the QAT graph is in training
  double loss_sum = 0;
  int64_t seen = 0, hits = 0;
  int64_t skipped_in_row = 0;  // steps left out because of non-finite numbers
  double best_top1 = -1;
  int64_t best_epoch = -1;
  Random::State random{0, 0, 0};  // of dropout
};

inline constexpr char kCheckpointMagic[] = "STAIRCKP";

struct Checkpoint {
  RunState progress;
  Json settings;  // what must be equal to go on
  Json network;   // what the network is: model, classes, quantization, preprocessing
                  // (describe_network)
  std::map<std::string, Tensor> state;
  std::vector<NamedTensor> optimizer;
  std::vector<NamedTensor> low_bit;  // of LowBitHelp and HealthLog; empty in float epochs
};

// Atomic. Throws IoError.
void save_checkpoint(const std::string& path, const RunState& progress, const Json& settings,
                     const Json& network, const nn::Module& model, const nn::Optimizer& optimizer,
                     const std::vector<NamedTensor>& low_bit = {});
// Throws FormatError: no checkpoint, newer version, cut, checksum of a section.
Checkpoint load_checkpoint(const std::string& path);

// Copies the tensors of a checkpoint into a model of the same architecture. Throws FormatError
// listing missing, unexpected and differently shaped tensors (10 each, then a count) with a hint
// when only the classifier differs, or when a value is not finite.
void restore(const Checkpoint& checkpoint, const nn::Module& model, bool allow_nonfinite);

// XXH3-64, as 16 hexadecimal digits, of names and bytes of all parameters and buffers (weights,
// quantizer, observer and batch-norm state) in state-dict order, then of the optimizer's tensors.
std::string state_hash(const nn::Module& model, const nn::Optimizer& optimizer);

// Throws FormatError with a two-column list when the settings of a checkpoint differ from those of
// this run.
void check_settings(const Json& checkpoint, const Json& run, const std::string& path);

}  // namespace stair::apps
