// Cross-layer equalization: weights of neighbouring layers scaled against each
// other, so that one scale for a whole tensor loses less.
#pragma once

#include "qat/ptq/layers.h"

namespace stair::qat {

struct EqualizeReport {
  int pairs = 0;     // layers that stand next to each other
  int channels = 0;  // equalized, or whose bias moved to the next layer
};

// On a folded graph, which is changed. For a layer that only another one reads,
// with nothing, a ReLU or a ReLU6 between, channel i of the first is divided by
// s_i = sqrt(r1_i / r2_i) and the second's input channel multiplied by it, r
// the largest magnitudes of weights, in 40 rounds. Source: Nagel et al.,
// arXiv:1906.04721, sections 4.1 and 4.1.3. Ours: s_i stays so large that no
// channel's values leave the range that the tensor has over the batches, since
// a channel of tiny weights and a bias would else take the range of all; and a
// ReLU6 stays: channels that reach 6 are left alone, the others stay below, so
// the network computes the same. And channels that carry nothing, because they
// are zero whatever comes in or because nobody reads them, lose their weights,
// which would else count among the largest of a tensor.
EqualizeReport equalize(nn::Graph& folded, const Batches& batches);

// Moves c_i = max(0, mean_i - 3 sd_i) of the values before a ReLU from the bias
// of the layer to that of the next, where the next has a bias and no padding.
// The statistics are those of the batches. Source: the same, section 4.1.4,
// which takes them from batch norm.
EqualizeReport absorb_high_biases(nn::Graph& folded, const Batches& batches);

}  // namespace stair::qat
