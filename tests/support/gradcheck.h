// Gradients against central differences in double.
#pragma once

#include <functional>
#include <vector>

#include "autograd/variable.h"

namespace stair::test {

// Uniform f64 numbers of [low, high); the same for the same seed.
Tensor random_real(const Shape& shape, uint64_t seed, double low = -1, double high = 1);
// The same as a leaf that wants a gradient.
autograd::Variable random_leaf(const Shape& shape, uint64_t seed, double low = -1, double high = 1);

using Function = std::function<autograd::Variable(const std::vector<autograd::Variable>&)>;

struct GradcheckOptions {
  double step = 1e-5;
  double tolerance = 1e-7;    // of |numeric - gradient|, relative to max(1, |numeric|)
  int64_t max_elements = 60;  // of each input; evenly spread when it has more
};

// Compares the gradients of sum(gy * f(inputs)), gy random, of every input that wants one with
// central differences. Inputs are f64. f must give the same value each time it is called.
// Fails the running test with the place and both values.
void check_gradients(const Function& f, const std::vector<autograd::Variable>& inputs,
                     const GradcheckOptions& options = {});

}  // namespace stair::test
