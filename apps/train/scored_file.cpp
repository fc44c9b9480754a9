#include "apps/train/scored_file.h"

#include <iostream>

#include "apps/program/run_folder.h"
#include "apps/train/checkpoint.h"
#include "apps/weights/read_weights.h"
#include "core/file.h"
#include "core/text.h"
#include "qat/int8/from_torch.h"

namespace stair::apps {
namespace {

// Preprocessing of the file, where no flag asks for another.
void take_preprocessing(const DataConfig& from, const Options& options, DataConfig& to) {
  const auto asked = [&](const char* flag) { return options.has(flag) && options.given(flag); };
  if (!asked("--val-resize-size")) to.val_resize_size = from.val_resize_size;
  if (!asked("--val-crop-size")) to.val_crop_size = from.val_crop_size;
  if (!asked("--mean")) to.mean = from.mean;
  if (!asked("--std")) to.std = from.std;
}

void open_int8(const std::string& path, const Options& options, ScoredFile& file) {
  qat::Int8Graph graph = qat::load_int8_graph(path);
  DataConfig from;
  const Attributes& m = graph.metadata;
  if (m.has("crop_size")) {
    from.val_resize_size = static_cast<int>(m.get<int64_t>("resize_size"));
    from.val_crop_size = static_cast<int>(m.get<int64_t>("crop_size"));
    for (size_t i = 0; i < 3; ++i) {
      from.mean[i] = m.get<double>(str("mean_", i));
      from.std[i] = m.get<double>(str("std_", i));
    }
    take_preprocessing(from, options, file.data);
  }
  file.form = "int8";
  file.class_names = graph.class_names;
  file.session = std::make_shared<qat::Int8Session>(std::move(graph));
  file.network = network_of(*file.session);
}

// The integers of a network that torch quantized; its ReLU6 are ReLU there.
void open_torch(const nn::Weights& weights, const ModelConfig& model, int64_t classes,
                ScoredFile& file) {
  ModelConfig plain = model;
  plain.relu6_to_relu = true;
  file.graph = build_float(plain, classes, file.data.val_crop_size, 0);
  qat::Int8Graph graph = qat::int8_from_torch(file.graph->graph(), weights);
  file.graph.reset();
  graph.metadata = deployment_facts(plain, file.data);
  file.form = "int8";
  file.session = std::make_shared<qat::Int8Session>(std::move(graph));
  file.network = network_of(*file.session);
}

void open_checkpoint(const std::string& path, const ModelConfig& model, const Options& options,
                     ScoredFile& file) {
  const Checkpoint checkpoint = load_checkpoint(path);
  NetworkDescription d = network_from(checkpoint.network);
  take_preprocessing(d.config.data, options, file.data);
  file.graph = build_float(d.config.model, d.classes, file.data.val_crop_size, 0);
  if (checkpoint.progress.qat) file.graph = build_qat(*file.graph, d.config).graph;
  restore(checkpoint, *file.graph, model.allow_nonfinite);
  file.form = checkpoint.progress.qat ? "qat" : "float";
  file.model = d.config.model;
  file.class_names = d.class_names;
  file.network = network_of(*file.graph);
}

std::string newest_checkpoint(const std::string& folder) {
  const std::vector<std::string> all = numbered_checkpoints(folder);
  if (all.empty())
    throw ConfigError(str("the folder ", path_in_quotes(folder), " holds no checkpoint"),
                      "name a run folder of qat_train, a checkpoint, an int8 file or weights");
  return all.front();
}

}  // namespace

ScoredFile open_scored_file(const std::string& given, const ModelConfig& model,
                            const DataConfig& data, int64_t data_classes, const Options& options) {
  const std::string path = folder_exists(given) ? newest_checkpoint(given) : given;
  ScoredFile file;
  file.data = data;
  std::string magic(8, '\0');
  {
    const InputFile input(path, FileUse::model);
    file.bytes = input.size();
    if (file.bytes >= magic.size()) input.read_at(0, std::as_writable_bytes(std::span(magic)));
  }
  if (magic == qat::kInt8GraphMagic) {
    open_int8(path, options, file);
  } else if (magic == kCheckpointMagic) {
    open_checkpoint(path, model, options, file);
  } else {
    if (!options.given("--model"))
      throw ConfigError(
          str("'", path, "' is neither an int8 file nor a checkpoint; weights need --model"),
          "add --model, as in --model resnet20");
    const int64_t classes = model.num_classes.value_or(data_classes);
    nn::Weights weights = read_weights(path, model.weights_key);
    if (nn::is_quantized(weights)) {
      open_torch(weights, model, classes, file);
      return file;
    }
    const auto say = [&](const std::string& text) {
      if (!options.quiet()) std::cerr << text << std::endl;
    };
    file.graph = build_float(model, std::move(weights), classes, data.val_crop_size, say);
    file.form = "float";
    file.model = model;
    file.model.weights = path;
    file.network = network_of(*file.graph);
  }
  return file;
}

}  // namespace stair::apps
