// Bias correction: takes back the shift that quantization gives the mean of a layer's outputs.
#pragma once

#include "qat/ptq/layers.h"

namespace stair::qat {

// `quantized` is a calibrated network of its own (prepared from a copy), `reference` the float
// graph it came from; layers correspond by their paths. In one run through the layers each bias
// gives up the difference of the channel means of its layer's outputs, and the layers after it
// already see the corrected values; over several batches the corrections are averaged. Returns how
// many layers have a bias and were corrected. Source: Nagel et al., arXiv:1906.04721, section 4.2,
// with data in place of batch-norm statistics.
int correct_biases(nn::GraphModule& quantized, nn::GraphModule& reference, const Batches& batches);

}  // namespace stair::qat
