// Which layers are quantized and how, from files in torch's form.
#pragma once

#include <memory>

#include "apps/train/config.h"
#include "qat/backend_quantizer.h"
#include "qat/quantization_config.h"

namespace stair::apps {

void add_layer_file_flags(Options& options, LayerConfig& config);
// Reads the dictionaries that --qconfig-mapping and --backend-config name. Throws ConfigError
// `<file>: ...`.
void read_layer_files(LayerConfig& config);

// What annotates a network: for our engine as `config` and the patterns say or, where there are
// dictionaries, as these say; a backend without a mapping has `config` for all layers.
std::shared_ptr<const qat::BackendQuantizer> quantizer_of(const qat::QuantizationConfig& config,
                                                          const LayerConfig& layers);

}  // namespace stair::apps
