// From folded weights back to a network with batch norms, which can be trained.
#pragma once

#include "qat/ptq/layers.h"

namespace stair::qat {

// Gives `model` the weights of `folded`, a form of the same network that fold_batch_norm and the
// passes after it made. The batch norms get the statistics that their inputs have over the batches,
// and gains and offsets that take these back: the network computes what the folded one does, and
// goes on doing so when training takes the statistics of its own batches. Throws ConfigError naming
// the batch norm when it has no gain and offset.
void unfold_batch_norm(const nn::Graph& folded, nn::GraphModule& model, const Batches& batches);

}  // namespace stair::qat
