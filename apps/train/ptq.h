// Post-training quantization of a network on a data set, end to end.
#pragma once

#include "apps/train/network.h"
#include "apps/train/ptq_search.h"

namespace stair::apps {

struct PtqConfig {
  DataConfig data;
  ModelConfig model;
  std::string preset = "x86";
  int64_t calib_batches = 32;
  std::string calib_dir;             // empty: data.train_dir
  std::string observer, w_observer;  // empty: the preset's
  int wbits = 8, abits = 8;
  int64_t group_size = 0;
  bool equalize = false, absorb_biases = false, bias_correction = false;
  bool adaround = false;
  int64_t adaround_iterations = 10000;
  int64_t bn_batches = 0;
  bool first_last_8_bits = true, add_operands_8_bits = true;
  LayerConfig layers;
  bool check_freeze = false;
  PtqSearchConfig search;
  std::string output;        // int8 file
  std::string float_output;  // empty: none
};

struct PtqResult {
  qat::Int8Graph graph;
  Score real, int8;
  int64_t calibration_images = 0;
  double calibration_seconds = 0;
  uint64_t float_bytes = 0, int8_bytes = 0;
  uint64_t calibration_peak_bytes = 0;  // the most that tensors took
  PtqSearchResult search;
};

// Folds batch norm, equalizes, searches bits and float layers, calibrates, rounds, corrects,
// converts, writes and scores, as the configuration says; `say` gets a line about each step. Throws
// what data, weights and conversion throw.
PtqResult run_ptq(const PtqConfig& config, const Say& say);

}  // namespace stair::apps
