// Files of weights in every form that is read.
#pragma once

#include <string>

#include "nn/weights.h"

namespace stair::apps {

// Reads safetensors (or the index of several) or torch's zip form, whichever the file is. `key`
// chooses a dictionary of the latter, see PthFile::weights. Throws FormatError, for torch's older
// forms with the hint how to convert them.
nn::Weights read_weights(const std::string& path, const std::string& key = "");

}  // namespace stair::apps
