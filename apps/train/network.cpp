#include "apps/train/network.h"

#include <algorithm>

#include "apps/train/layer_files.h"
#include "apps/weights/read_weights.h"
#include "core/text.h"
#include "nn/graph/capture.h"
#include "nn/model.h"
#include "qat/convert.h"
#include "qat/mixed_bf16.h"
#include "qat/presets.h"

namespace stair::apps {

namespace {

std::shared_ptr<nn::Module> new_model(const ModelConfig& c, int64_t classes, uint64_t seed) {
  nn::ModelOptions options;
  options.num_classes = classes;
  options.width = c.width;
  options.relu6 = !c.relu6_to_relu;
  options.same_upper_padding = c.same_upper_padding;
  options.seed = seed;
  return nn::find_model(c.model).build(options);
}

void load(nn::Module& model, nn::Weights weights, const ModelConfig& c, const Say& say) {
  nn::LoadOptions options;
  options.reset_head = c.reset_head;
  options.allow_nonfinite = c.allow_nonfinite;
  options.notes = &weights.notes;
  nn::load_weights(model, weights, options);
  if (say)
    for (const std::string& note : weights.notes) say(str(printable(weights.path), ": ", note));
}

std::shared_ptr<nn::GraphModule> captured(nn::Module& model, int size) {
  const autograd::Variable example(Tensor::zeros({1, size, size, 3}, DType::f32));
  return std::make_shared<nn::GraphModule>(nn::capture(model, example));
}

}  // namespace

std::shared_ptr<nn::GraphModule> build_float(const ModelConfig& c, int64_t classes, int size,
                                             uint64_t seed, const Say& say) {
  const MemoryScope memory(MemoryKind::parameters);
  const std::shared_ptr<nn::Module> model = new_model(c, classes, seed);
  if (!c.weights.empty()) load(*model, read_weights(c.weights, c.weights_key), c, say);
  return captured(*model, size);
}

std::shared_ptr<nn::GraphModule> build_float(const ModelConfig& c, nn::Weights weights,
                                             int64_t classes, int size, const Say& say) {
  const MemoryScope memory(MemoryKind::parameters);
  const std::shared_ptr<nn::Module> model = new_model(c, classes, 0);
  load(*model, std::move(weights), c, say);
  return captured(*model, size);
}

qat::QuantizationConfig preset_config(const std::string& preset, int wbits, int abits,
                                      const std::string& w_observer,
                                      const std::string& a_observer) {
  qat::QuantizationConfig config = qat::find_preset(preset).config;
  if (wbits != 8) qat::set_bits(config.weight, wbits);
  if (abits != 8) qat::set_bits(config.activation, abits);
  if (!w_observer.empty()) config.weight.observer = w_observer;
  if (!a_observer.empty()) config.activation.observer = a_observer;
  return config;
}

int64_t float_operations(const std::vector<qat::NodeReport>& report) {
  return std::count_if(report.begin(), report.end(),
                       [](const qat::NodeReport& line) { return !line.quantized; });
}

void refuse_floats(const std::vector<qat::NodeReport>& report) {
  std::string floats;
  for (const qat::NodeReport& line : report)
    if (!line.quantized) floats += str("\n  ", line.name, " (", line.op, "): ", line.how);
  if (!floats.empty()) throw ConfigError("--strict: these operations stay float:" + floats);
}

qat::Prepared prepare_preset(const nn::Graph& graph, const std::string& preset,
                             const qat::BackendQuantizer& quantizer) {
  qat::Prepared prepared = qat::prepare_qat(graph, quantizer);
  if (qat::find_preset(preset).mixed_bf16) prepared.graph = qat::mixed_bf16(prepared.graph);
  return prepared;
}

QatNetwork build_qat(const nn::GraphModule& float_graph, const TrainConfig& c) {
  qat::QuantizationConfig config =
      preset_config(c.preset, c.wbits, c.abits, c.w_observer, c.a_observer);
  config.weight.quantizer = config.activation.quantizer = c.quantizer;
  config.weight.group_size = c.group_size;
  config.weight.init = config.activation.init = c.init;
  config.first_last_8_bits = c.first_last_8_bits;
  config.add_operands_8_bits = c.add_operands_8_bits;
  qat::Prepared prepared =
      prepare_preset(float_graph.graph(), c.preset, *quantizer_of(config, c.layers));
  if (c.layers.strict) refuse_floats(prepared.report);
  return {std::make_shared<nn::GraphModule>(std::move(prepared.graph)), std::move(prepared.report)};
}

Network network_of(nn::GraphModule& graph, bool fake_quant) {
  return [&graph, fake_quant](const Tensor& images) {
    const autograd::NoGrad no_grad;
    const bool training = graph.is_training();
    graph.eval();
    if (!fake_quant) qat::enable_fake_quant(graph, false);
    Tensor logits = graph(autograd::Variable(images)).value();
    if (!fake_quant) qat::enable_fake_quant(graph, true);
    graph.train(training);
    return logits;
  };
}

Network network_of(qat::Int8Session& session) {
  return [&session](const Tensor& images) { return session.run(images); };
}

namespace {

Json texts(const std::vector<std::string>& list) {
  Json j = Json::array();
  for (const std::string& text : list) j.push_back(text);
  return j;
}

std::vector<std::string> texts(const Json& j) {
  std::vector<std::string> list;
  for (const Json& text : j.as_array()) list.push_back(text.as_string());
  return list;
}

}  // namespace

Json describe_network(const TrainConfig& c, int64_t classes,
                      const std::vector<std::string>& class_names) {
  Json j = Json::object(), names = Json::array(), mean = Json::array(), std = Json::array();
  for (const std::string& name : class_names) names.push_back(printable(name));
  for (size_t i = 0; i < 3; ++i) {
    mean.push_back(c.data.mean[i]);
    std.push_back(c.data.std[i]);
  }
  j.set("model", c.model.model);
  j.set("classes", classes);
  j.set("width", c.model.width);
  j.set("same_upper_padding", c.model.same_upper_padding);
  j.set("relu6_to_relu", c.model.relu6_to_relu);
  j.set("preset", c.preset);
  j.set("quantizer", c.quantizer);
  j.set("wbits", c.wbits);
  j.set("abits", c.abits);
  j.set("group_size", c.group_size);
  j.set("w_observer", c.w_observer);
  j.set("a_observer", c.a_observer);
  j.set("first_last_8_bits", c.first_last_8_bits);
  j.set("add_operands_8_bits", c.add_operands_8_bits);
  j.set("exclude", texts(c.layers.exclude));
  j.set("include", texts(c.layers.include));
  if (!c.layers.mapping.is_null()) j.set("qconfig_mapping", c.layers.mapping);
  if (!c.layers.backend.is_null()) j.set("backend_config", c.layers.backend);
  j.set("layer_wbits", texts(c.layers.wbits));
  j.set("resize_size", c.data.val_resize_size);
  j.set("crop_size", c.data.val_crop_size);
  j.set("mean", std::move(mean));
  j.set("std", std::move(std));
  j.set("class_names", std::move(names));
  return j;
}

NetworkDescription network_from(const Json& j) {
  NetworkDescription d;
  TrainConfig& c = d.config;
  c.model.model = j.at("model").as_string();
  d.classes = j.at("classes").as_int();
  c.model.width = j.at("width").as_double();
  c.model.same_upper_padding = j.at("same_upper_padding").as_bool();
  c.model.relu6_to_relu = j.at("relu6_to_relu").as_bool();
  c.preset = j.at("preset").as_string();
  c.quantizer = j.at("quantizer").as_string();
  c.wbits = static_cast<int>(j.at("wbits").as_int());
  c.abits = static_cast<int>(j.at("abits").as_int());
  c.w_observer = j.at("w_observer").as_string();
  c.a_observer = j.at("a_observer").as_string();
  c.first_last_8_bits = j.at("first_last_8_bits").as_bool();
  c.add_operands_8_bits = j.at("add_operands_8_bits").as_bool();
  // Absent in files of before these flags.
  if (const Json* size = j.find("group_size")) c.group_size = size->as_int();
  if (const Json* list = j.find("exclude")) c.layers.exclude = texts(*list);
  if (const Json* list = j.find("include")) c.layers.include = texts(*list);
  if (const Json* dict = j.find("qconfig_mapping")) c.layers.mapping = *dict;
  if (const Json* dict = j.find("backend_config")) c.layers.backend = *dict;
  if (const Json* list = j.find("layer_wbits")) c.layers.wbits = texts(*list);
  c.data.val_resize_size = static_cast<int>(j.at("resize_size").as_int());
  c.data.val_crop_size = static_cast<int>(j.at("crop_size").as_int());
  for (size_t i = 0; i < 3; ++i) {
    c.data.mean[i] = j.at("mean").at(i).as_double();
    c.data.std[i] = j.at("std").at(i).as_double();
  }
  for (const Json& name : j.at("class_names").as_array()) d.class_names.push_back(name.as_string());
  return d;
}

Attributes deployment_facts(const ModelConfig& model, const DataConfig& data) {
  Attributes m;
  m.set("model", model.model);
  m.set("resize_size", int64_t{data.val_resize_size});
  m.set("crop_size", int64_t{data.val_crop_size});
  for (size_t i = 0; i < 3; ++i) {
    m.set(str("mean_", i), data.mean[i]);
    m.set(str("std_", i), data.std[i]);
  }
  return m;
}

qat::Int8Graph deploy(const nn::GraphModule& graph, const ModelConfig& model,
                      const DataConfig& data, const std::vector<std::string>& class_names) {
  qat::Int8Graph result = qat::convert(graph.graph());
  result.class_names = class_names;
  result.metadata = deployment_facts(model, data);
  return result;
}

}  // namespace stair::apps
