// From a captured float graph to one that calibrates or trains on integers.
#pragma once

#include <set>

#include "qat/backend_quantizer.h"
#include "qat/conv_bn.h"
#include "qat/quantization_config.h"

namespace stair::qat {

// One line of the quantization report.
struct NodeReport {
  std::string name, op;
  bool quantized;
  std::string how;  // as what, or why it stays float
};

struct Prepared {
  nn::Graph graph;
  std::vector<NodeReport> report;
};

// The graph with quantizers where the annotations of `quantizer` want them; the input graph stays
// as it is, parameters are shared with it.
//
// A layer whose weight is annotated becomes one module with its weight quantizer; a batch norm
// behind it that is annotated and the only reader is folded into it. A ReLU whose output is
// annotated is fused into the quantizer behind it, unless others share that. Edges without an
// annotation read what their producer hands out, integers or not. The graph's result is made real.
//
// Throws ConfigError naming the node: annotations that name what is not there or cannot be run; a
// sum of products that could pass 32 bits (with its K); a graph that is prepared already.
Prepared prepare_qat(const nn::Graph& graph, const BackendQuantizer& quantizer);
// With batch norm folded into the convolutions before, for calibration without training. The
// parameters are the graph's own.
Prepared prepare(const nn::Graph& graph, const BackendQuantizer& quantizer);
// For our int8 engine: EngineQuantizer with this configuration for all.
Prepared prepare_qat(const nn::Graph& graph, const QuantizationConfig& config);

// Prints a report, a line a node.
std::string to_string(const std::vector<NodeReport>& report);

// Variable::id of the parameters that belong to quantizers.
std::set<const void*> learned_parameters(nn::Module& model);

// Switches of all quantizers, and of all batch norms, below a module.
void enable_observers(nn::Module& model, bool on);
void enable_fake_quant(nn::Module& model, bool on);
void freeze_batch_norm(nn::Module& model, bool on);

}  // namespace stair::qat
