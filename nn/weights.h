// Files of weights: tensors under torch's names and in torch's layout.
#pragma once

#include <string>
#include <vector>

#include "core/safetensors.h"
#include "nn/state_dict.h"

namespace stair::nn {

struct Weights {
  std::string path;
  std::vector<NamedTensor> tensors;
  std::vector<std::string> notes;  // a line about each thing that is not as it was in the file
};

// Reals of other widths become f32, with a note.
Weights weights_of(std::string path, std::vector<SafeTensors::Entry> entries);

// Reads a safetensors file, or the index (*.json) of one in several files, which lie beside it and
// are no links. Throws FormatError.
Weights read_weights(const std::string& path);

// Whether some are codes with QParams.
bool is_quantized(const Weights& weights);

// Besides what load_state_dict throws: FormatError for quantized weights, NumericsError for a NaN
// or infinity, with the hint --allow-nonfinite. `options.source` is the file's path.
void load_weights(Module& module, const Weights& weights, LoadOptions options = {});
void load_weights(Module& module, const std::string& path, LoadOptions options = {});

void save_weights(const std::string& path, const Module& module,
                  const std::map<std::string, std::string>& metadata = {});

}  // namespace stair::nn
