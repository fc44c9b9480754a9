// What follows when a network is frozen to integers: the proof that nothing was lost, and files for
// other tools.
#pragma once

#include <string>
#include <vector>

#include "apps/train/config.h"
#include "apps/train/evaluate.h"
#include "qat/int8/graph.h"

namespace stair::apps {

// Throws Error with exit code 9 unless hits, losses and the class of every picture are equal.
void require_equal_scores(const Score& quantized, const Score& frozen);

// Before the work: throws IoError when the files are there and must not be replaced, or the folder
// cannot be written.
void check_export(const ExportConfig& config, const std::string& model, bool overwrite);
// Writes <model>.onnx (QDQ) and <model>.json (qat/int8/encodings.h) into the folder and returns
// their paths. Throws IoError, FormatError.
std::vector<std::string> export_frozen(const ExportConfig& config, const std::string& model,
                                       const qat::Int8Graph& graph);

}  // namespace stair::apps
