// The networks of a run: float, QAT, int8, each as a function from pictures to logits.
#pragma once

#include <functional>
#include <memory>

#include "apps/train/config.h"
#include "apps/train/evaluate.h"
#include "core/json.h"
#include "nn/graph/graph_module.h"
#include "nn/weights.h"
#include "qat/int8/session.h"
#include "qat/prepare.h"

namespace stair::apps {

// Gets a line for the user.
using Say = std::function<void(const std::string&)>;

// The model of the configuration as a graph that trains in float; weights are loaded when the
// configuration names some, and `say` gets what was changed in them. `classes` outputs, pictures of
// `size` pixels. Throws FormatError, ConfigError, NumericsError (NaN weights).
std::shared_ptr<nn::GraphModule> build_float(const ModelConfig& config, int64_t classes, int size,
                                             uint64_t seed, const Say& say = {});
// With weights that were read before.
std::shared_ptr<nn::GraphModule> build_float(const ModelConfig& config, nn::Weights weights,
                                             int64_t classes, int size, const Say& say = {});

struct QatNetwork {
  std::shared_ptr<nn::GraphModule> graph;
  std::vector<qat::NodeReport> report;
};

// That of a preset with other bits (8: the preset's) and observers (empty: the preset's).
qat::QuantizationConfig preset_config(const std::string& preset, int wbits, int abits,
                                      const std::string& w_observer, const std::string& a_observer);

// prepare_qat, and what else the preset asks for.
qat::Prepared prepare_preset(const nn::Graph& graph, const std::string& preset,
                             const qat::BackendQuantizer& quantizer);

int64_t float_operations(const std::vector<qat::NodeReport>& report);

// Throws ConfigError listing the operations that stay float, if any: what --strict asks for.
void refuse_floats(const std::vector<qat::NodeReport>& report);

// The same graph, prepared for quantization-aware training; it shares the float graph's parameters.
// With `strict` an operation that stays float is refused.
QatNetwork build_qat(const nn::GraphModule& float_graph, const TrainConfig& config);

// Evaluation mode, without a tape. `fake_quant` off: the float equivalent of a QAT graph.
Network network_of(nn::GraphModule& graph, bool fake_quant = true);
Network network_of(qat::Int8Session& session);

// What a file of this network says of itself, and back: model, outputs, quantization,
// preprocessing, class names.
Json describe_network(const TrainConfig& config, int64_t classes,
                      const std::vector<std::string>& class_names);
struct NetworkDescription {
  TrainConfig config;
  int64_t classes = 0;
  std::vector<std::string> class_names;
};
// Throws FormatError when something is missing.
NetworkDescription network_from(const Json& description);

// What a file that is used alone says of the network: model and how pictures are prepared.
Attributes deployment_facts(const ModelConfig& model, const DataConfig& data);

// The deployed graph of a QAT network, with what it needs to be used alone: class names and how
// pictures are prepared.
qat::Int8Graph deploy(const nn::GraphModule& graph, const ModelConfig& model,
                      const DataConfig& data, const std::vector<std::string>& class_names);

}  // namespace stair::apps
