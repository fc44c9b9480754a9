// What qat_bench times: training steps, inference and calibration of one network.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/bench/layers.h"
#include "apps/bench/timing.h"

namespace stair::apps {

struct JobSettings {
  std::string model = "resnet18", quantizer = "ste";
  int64_t batch = 32, size = 0;  // size 0: the network's own
  bool recompute = false, layers = false;
  TimingOptions timing;
};

struct JobResult {
  Timing timing;
  std::optional<LayerTable> layers;  // with `layers`
};

// train_float, train_qat, infer_float, infer_int8, calibrate.
const std::vector<std::string>& job_names();

// Throws ConfigError for another name.
void check_job(const std::string& job);
JobResult run_job(const JobSettings& settings, const std::string& job);

}  // namespace stair::apps
