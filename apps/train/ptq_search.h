// Which layers get how many bits, and which stay float: searches around post-training quantization.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "apps/train/network.h"
#include "qat/ptq/sensitivity.h"

namespace stair::apps {

struct PtqSearchConfig {
  std::string sensitivity;             // "one-on", "all-but-one"; empty: no table
  int64_t sensitivity_batches = 4;     // of calibration
  std::optional<double> budget_mb;     // of the int8 file, 10^6 bytes
  std::optional<double> budget_gbops;  // 10^9 bit operations a picture
  std::optional<double> max_drop;      // of top-1, percent
  std::string layers_output;           // file for --config
};

// What a search asks of the job around it.
struct PtqHooks {
  // The network for these layers, calibrated, with weights of so many bits where the layers do not
  // say otherwise.
  std::function<std::unique_ptr<nn::GraphModule>(const LayerConfig& layers, int wbits)> quantize;
  // In percent; of the float network and of an int8 form.
  std::function<double()> float_top1;
  std::function<double(const nn::GraphModule&)> int8_top1;
  // Of the int8 file.
  std::function<uint64_t(const nn::GraphModule&)> file_bytes;
  qat::Batches batches;  // for sensitivities
  std::function<void(const std::string&)> say;
};

struct PtqSearchResult {
  std::vector<qat::LayerSensitivity> sensitivity;  // the layer that costs most first
  LayerConfig layers;                              // the given ones and what was found
  std::vector<std::string> float_layers;
};

void add_search_flags(Options& options, PtqSearchConfig& config);

bool wants_search(const PtqSearchConfig& config);

// Runs the searches that the configuration asks for, and writes what they found. `wbits` and
// `layers` are those of the job; `first_last_8_bits`: those layers have no other choice. Throws
// ConfigError when no choice fits the budget, Error with exit code 9 when the drop stays too large.
PtqSearchResult search(const PtqSearchConfig& config, const LayerConfig& layers, int wbits,
                       bool first_last_8_bits, const PtqHooks& hooks);

std::string to_string(const std::vector<qat::LayerSensitivity>& sensitivity);
Json to_json(const PtqSearchResult& result);
// Layers as a configuration file of qat_train and qat_ptq.
std::string to_toml(const LayerConfig& layers);

}  // namespace stair::apps
