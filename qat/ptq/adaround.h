// AdaRound: chooses for every weight whether it rounds down or up, so that the outputs of its layer
// stay near those of the float network.
#pragma once

#include "qat/ptq/layers.h"

namespace stair::qat {

// Errors are means over the kept positions of the squared distance between the outputs of the layer
// and those in the float network, behind the ReLU or ReLU6 that alone reads them.
struct AdaRoundLayer {
  std::string name;
  int64_t rows = 0;                 // positions kept
  double nearest_error = 0;         // with weights rounded to nearest
  double error = 0;                 // with those chosen; never larger
  int64_t weights = 0, turned = 0;  // all; those that do not round to nearest
  double settled = 0;               // share of h(V) that ended as 0 or 1 by itself
};

struct AdaRoundOptions {
  int64_t iterations = 10000;  // of each layer
  int64_t batch_rows = 256;    // positions of the output in an iteration
  double regularization = 0.01;
  double beta_start = 20, beta_end = 2;           // exponent of the regularizer
  double warm_start = 0.2;                        // share of the iterations without it
  int64_t cache_bytes = 64 << 20;                 // of inputs and outputs of one layer
  std::function<void(const AdaRoundLayer&)> say;  // gets each layer when it is done; empty: nobody
};

// `quantized` is a calibrated network of its own (prepared from a copy of the folded graph),
// `reference` the float graph it came from; layers correspond by their paths. Layer by layer, on
// inputs that the layers before, rounded already, give it, V minimizes
//
//   mean over rows |f(W~ x + b) - y|^2 + regularization * sum(1 - |2 h(V) - 1|^beta)
//   W~ = s * clamp(floor(W / s) + h(V), qmin, qmax), h(V) = clamp(1.2 sigmoid(V) - 0.1, 0, 1)
//
// from h(V) = W / s - floor(W / s) on, by Adam with the learning rate 10 / iterations (1e-3 with
// 10000); beta falls by a cosine, the regularizer begins after the warm start. In the end h is 0 or
// 1, whichever is nearer, and the weights become s * code; an output channel that rounding to
// nearest serves better keeps that. Scales stay. At most `cache_bytes` of rows are kept: memory
// does not depend on the number of batches. Source: Nagel et al., arXiv:2004.10568; constants of
// AIMET, adaround_weight.py. Throws ConfigError for a layer with batch norm, or a quantizer that
// does not give the codes of values on its grid.
std::vector<AdaRoundLayer> adaround(nn::GraphModule& quantized, nn::GraphModule& reference,
                                    const Batches& batches, const AdaRoundOptions& options = {});

}  // namespace stair::qat
