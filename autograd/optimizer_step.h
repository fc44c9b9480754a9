// One step of an optimizer on one parameter, in place.
#pragma once

#include "core/tensor.h"

namespace stair::autograd {

struct SgdOptions {
  double lr = 0.1, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
};

// g' = g + weight_decay * p;  v = first ? g' : momentum * v + (1 - dampening) * g';
// p -= lr * (nesterov ? g' + momentum * v : v); without momentum p -= lr * g', and v may be
// undefined. p, g and v have one shape and type, f32 or f64. Source: torch.optim.SGD. Throws
// ShapeError, DTypeError.
void sgd_step(const Tensor& p, const Tensor& g, const Tensor& v, bool first,
              const SgdOptions& options);

struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled = false;  // AdamW: decay p itself, else add the decay to the gradient
};

// m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g^2;
// p -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps), t from 1.
// p, g, m and v have one shape and type, f32 or f64. Source: torch.optim.Adam, AdamW. Throws
// ShapeError, DTypeError.
void adam_step(const Tensor& p, const Tensor& g, const Tensor& m, const Tensor& v, int64_t t,
               const AdamOptions& options);

}  // namespace stair::autograd
