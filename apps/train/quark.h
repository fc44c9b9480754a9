// The command line of AMD Quark's example, as flags of qat_train:
//   --data_dir D --model_name mobilenetv2 --pretrained W --model_export onnx --export_dir E
//   [--qat True] [--lsq True] [--tqt True]
// calibrates on ten batches, trains when one of the last three asks for it, freezes, compares the
// accuracy before and after, and exports.
#pragma once

#include "apps/train/config.h"

namespace stair::apps {

struct QuarkFlags {
  std::string pretrained, qat, lsq, tqt;  // the last three: empty, True or False
};

void add_quark_flags(Options& options, QuarkFlags& flags);
// Whether the command line is of that kind; then `config` gets what it means. Before complete().
bool apply(const QuarkFlags& flags, const Options& options, TrainConfig& config);
// Whether it asks for training.
bool trains(const QuarkFlags& flags);
// Without training; returns the exit code.
int calibrate_and_freeze(const TrainConfig& config, const Options& options);

}  // namespace stair::apps
