// From a captured float graph to one that trains on integers.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "nn/graph/graph.h"
#include "qat/conv_bn.h"

namespace stair::qat {

// What to quantize with. The x86 preset: u8 affine activations per tensor, s8 symmetric weights per
// output channel.
struct QatConfig {
  QuantizationSpec activation = activation_spec();
  QuantizationSpec weight = weight_spec();
  // Below 8 bits: the network's input, the first convolution's weights, and the last layer's input
  // and weights keep 8 bits.
  bool first_last_8_bits = true;
  // Below 8 bits: tensors that only additions read (a branch before its residual sum) keep 8 bits.
  // Fewer bits would make no multiplication cheaper, and cost accuracy.
  bool add_operands_8_bits = true;
};
QatConfig x86_config(int weight_bits = 8, int activation_bits = 8,
                     const std::string& quantizer = "ste");

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

// Fuses conv+bn(+relu), conv+relu, linear+relu, add+relu, gives every weight and every tensor
// between quantized operations a quantizer, and leaves the input graph as it is; parameters are
// shared with it. The logits stay real numbers. Throws ConfigError naming the layer and its K when
// a sum of products could pass 32 bits.
Prepared prepare_qat(const nn::Graph& graph, const QatConfig& config);

// Prints a report, a line a node.
std::string to_string(const std::vector<NodeReport>& report);

// Variable::id of the parameters that belong to quantizers.
std::set<const void*> learned_parameters(nn::Module& model);

// Switches of all quantizers, and of all batch norms, below a module.
void enable_observers(nn::Module& model, bool on);
void enable_fake_quant(nn::Module& model, bool on);
void freeze_batch_norm(nn::Module& model, bool on);

}  // namespace stair::qat
