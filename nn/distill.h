// Learning from another network's outputs.
#pragma once

#include "autograd/variable.h"

namespace stair::nn {

// T^2 times the mean over the batch of the cross-entropy between softmax(teacher / T) and
// softmax(logits / T); its gradient is that of the Kullback-Leibler divergence. logits [N,C],
// teacher f32 [N,C]. Throws ShapeError, ConfigError (T not above 0). Source: Hinton et al.,
// arXiv:1503.02531.
autograd::Variable distillation_loss(const autograd::Variable& logits, const Tensor& teacher,
                                     double temperature);

}  // namespace stair::nn
