// Layers with weights in a float graph, as the passes of post-training quantization see them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "nn/graph/graph_module.h"

namespace stair::qat {

// Calls the function with the pictures of each batch; every time the same batches in the same
// order. Nothing keeps a batch, so memory does not depend on how many there are.
using Batches = std::function<void(const std::function<void(const Tensor& pictures)>&)>;

// Ids of the conv2d and linear nodes, in order.
std::vector<int> weighted_nodes(const nn::Graph& graph);
// The only reader of a value, when it takes the value as its first input; -1 otherwise.
int only_reader(const nn::Graph& graph, int id);

// Weights as [outputs, taps, inputs of a group].
struct WeightView {
  float* w;
  int64_t outputs, taps, inputs, groups;
  float& at(int64_t o, int64_t tap, int64_t i) const { return w[(o * taps + tap) * inputs + i]; }
};
WeightView weights_of(nn::Graph& graph, int id);
// The bias of a layer, as an f32 tensor [outputs]; undefined when it has none.
Tensor bias_of(nn::Graph& graph, int id);

// A graph of its own, with batch norms folded into the convolutions before them:
//   w' = w * gamma / sqrt(var + eps), b' = (b - mean) * gamma / sqrt(var + eps) + beta, in double.
// Names of weights stay; biases are called as in the model or, where there was none, after the
// weight. A convolution whose value or weight has another reader stays as it is.
nn::Graph fold_batch_norm(const nn::Graph& graph);

// Sums over batches and positions by channel of values [..., C].
struct Moments {
  double rows = 0;
  std::vector<double> sum, squares;
  void add(const Tensor& x);
  double mean(size_t c) const { return sum[c] / rows; }
  double variance(size_t c) const;
};

// Mean over batch and positions of every channel of a value [..., C].
std::vector<double> channel_means(const Tensor& x);

}  // namespace stair::qat
