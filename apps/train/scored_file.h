// Networks in files: float weights, checkpoints, int8 graphs.
#pragma once

#include <string>

#include "apps/train/network.h"

namespace stair::apps {

struct ScoredFile {
  std::string form;  // "float", "qat" or "int8"
  Network network;
  ModelConfig model;  // of float and qat
  DataConfig data;    // of the evaluation: from the file, where the flags do not say otherwise
  std::vector<std::string> class_names;  // empty when the file does not know them
  uint64_t bytes = 0;                    // of the file

  // Keep what `network` runs on alive.
  std::shared_ptr<nn::GraphModule> graph;
  std::shared_ptr<qat::Int8Session> session;
};

// Opens a file by its content, of a run folder its newest checkpoint. Weights (safetensors, .pth)
// need the model and the number of classes, `data_classes` or --num-classes; those of a network
// that torch quantized give its int8 form. Throws FormatError, ConfigError.
ScoredFile open_scored_file(const std::string& path, const ModelConfig& model,
                            const DataConfig& data, int64_t data_classes, const Options& options);

}  // namespace stair::apps
