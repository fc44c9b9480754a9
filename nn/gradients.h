// What is asked of and done to gradients between backward and the optimizer's step.
#pragma once

#include "nn/module.h"

namespace stair::nn {

// sqrt of the sum of the squares of all gradients, in double, in a fixed split; NaN or infinity
// when an element is.
double gradient_norm(const std::vector<NamedVariable>& parameters);
// Multiplies all gradients by max_norm / (norm + 1e-6) when that is below 1 and the norm is finite.
// Returns the norm before.
double clip_grad_norm(const std::vector<NamedVariable>& parameters, double max_norm);
// Throws NumericsError naming the first parameter whose gradient has a NaN or infinity.
void require_finite_gradients(const std::vector<NamedVariable>& parameters);

}  // namespace stair::nn
