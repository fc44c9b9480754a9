#include "apps/train/layer_files.h"

#include "core/file.h"
#include "core/text.h"
#include "qat/engine_quantizer.h"
#include "qat/fx_quantizer.h"

namespace stair::apps {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 20;

template <class Dictionary>
Json read_dict(const std::string& path) {
  if (path.empty()) return {};
  const std::string text = read_file(path, kMostBytes, FileUse::config);
  try {
    Json dict = parse_json(text);
    (void)Dictionary::from_dict(dict);
    return dict;
  } catch (const Error& error) {
    throw ConfigError(str(path_in_quotes(path), ": ", error.what()), error.hint());
  }
}

}  // namespace

void add_layer_file_flags(Options& options, LayerConfig& c) {
  options.text(
      "--qconfig-mapping", c.mapping_file,
      {.help = "JSON of a QConfigMapping: what each layer is quantized with", .value = "FILE"});
  options.text("--backend-config", c.backend_file,
               {.help = "JSON of a BackendConfig: what the backend can (default: our engine's)",
                .value = "FILE"});
  for (const char* flag : {"--preset", "--wbits", "--abits", "--w-observer", "--a-observer"})
    options.contradiction(flag, "--qconfig-mapping", "the mapping says it for each layer");
  for (const char* file : {"--qconfig-mapping", "--backend-config"})
    for (const char* flag : {"--exclude", "--include"})
      options.contradiction(flag, file, "a mapping leaves layers out with null");
  for (const char* file : {"--qconfig-mapping", "--backend-config"})
    options.contradiction("--layer-wbits", file, "a mapping says the bits of each layer");
}

void read_layer_files(LayerConfig& c) {
  c.mapping = read_dict<qat::QConfigMapping>(c.mapping_file);
  c.backend = read_dict<qat::BackendConfig>(c.backend_file);
}

std::shared_ptr<const qat::BackendQuantizer> quantizer_of(const qat::QuantizationConfig& config,
                                                          const LayerConfig& layers) {
  if (!layers.mapping.is_null() || !layers.backend.is_null())
    return std::make_shared<qat::FxQuantizer>(
        layers.mapping.is_null()
            ? qat::QConfigMapping().set_global(qat::QConfig{config.activation, config.weight})
            : qat::QConfigMapping::from_dict(layers.mapping),
        layers.backend.is_null() ? qat::get_native_backend_config()
                                 : qat::BackendConfig::from_dict(layers.backend));
  auto quantizer = std::make_shared<qat::EngineQuantizer>(config);
  for (const std::string& pattern : layers.exclude) quantizer->exclude(pattern);
  for (const std::string& pattern : layers.include) quantizer->include(pattern);
  for (const std::string& text : layers.wbits) {
    const auto [pattern, bits] = layer_bits(text);
    quantizer->set_weight_bits(pattern, bits);
  }
  return quantizer;
}

}  // namespace stair::apps
