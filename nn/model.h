// The table of models, by name. Each nn/models/<stem>.cpp defines `const ModelDef model_<stem>`;
// the build lists the files.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nn/module.h"

namespace stair::nn {

struct ModelOptions {
  std::optional<int64_t> num_classes = {};  // the definition's own when absent
  double width = 1;                         // factor of all channel counts
  bool relu6 = true;                        // MobileNetV2 only: ReLU6, else ReLU
  // MobileNetV2 only. Channel counts are multiples of `round_nearest`; each row of the setting is
  // expansion t, channels c, blocks n, stride s of the first; empty: the paper's seven.
  int64_t round_nearest = 8;
  std::vector<std::array<int64_t, 4>> inverted_residual_setting = {};
  // Every 3x3 convolution of stride 2 pads 0 above and left, 1 below and right (TensorFlow's
  // "same"), else 1 on every side.
  bool same_upper_padding = false;
  std::optional<double> dropout = {};  // before the classifier; the definition's own when absent
  uint64_t seed = 0;                   // of the first weights
};

struct ModelDef {
  const char* name;
  const char* description;
  int64_t input_size;   // pixels, the side of a usual square picture
  int64_t num_classes;  // when the options name none
  // Throws ConfigError for options that make no network.
  std::shared_ptr<Module> (*build)(const ModelOptions& options);
};

#define STAIR_MODEL_FILE(stem) extern const ModelDef model_##stem;
#include "model_files.inc"
#undef STAIR_MODEL_FILE

// In the order of their names.
std::vector<const ModelDef*> list_models();
// Throws ConfigError when there is none of this name, with the nearest one and the list.
const ModelDef& find_model(const std::string& name);

// Throws ConfigError unless there is at least one class, the width is positive and finite and
// dropout is in [0, 1).
void check_options(const char* model, const ModelOptions& options);

}  // namespace stair::nn
