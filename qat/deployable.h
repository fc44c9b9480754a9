// What all converted forms take from a prepared graph.
#pragma once

#include "nn/graph/graph.h"
#include "qat/conv_bn.h"

namespace stair::qat {

// Throws ConfigError naming the node when its quantizer has no integer form, has seen no data, or
// is switched off.
void require_deployable(const nn::Node& node, const Quantizer& quantizer);

// The integer weights and the bias that ship of a layer whose input has this scale, 0: real
// numbers. The layer is not changed. Throws ConfigError naming the node when there are none.
QatConv::Folded deployed_weights(const nn::Graph& prepared, const nn::Node& node, QatConv& conv,
                                 float x_scale);

// stride, padding, dilation and groups of a convolution.
void set_conv_attributes(const QatConvOptions& options, Attributes& attributes);

}  // namespace stair::qat
