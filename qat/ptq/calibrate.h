// Finding the ranges of a prepared network without training it.
#pragma once

#include <map>

#include "qat/ptq/layers.h"

namespace stair::qat {

// Shows the batches to the observers while the network runs in float (fake-quant off) and in
// evaluation mode: batch norm and dropout as deployed. Afterwards the ranges are frozen and
// fake-quant is on. Returns how many values were left out because they were NaN or infinite, by the
// quantizers that saw some. Throws ConfigError naming the quantizers that saw no finite value.
std::map<std::string, int64_t> calibrate(nn::GraphModule& prepared, const Batches& batches);

// Batch-norm statistics as the mean of those of the batches, for weights or quantizers that
// changed since training. The network runs in training mode with its observers off; what it
// learned stays. Source: Nagel et al., arXiv:2203.11086, section 4.2.
void reestimate_batch_norm(nn::GraphModule& model, const Batches& batches);

}  // namespace stair::qat
