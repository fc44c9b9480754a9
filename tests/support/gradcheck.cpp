#include "tests/support/gradcheck.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/random.h"

namespace stair::test {
namespace {

using autograd::Variable;

double weighted_sum(const Function& f, const std::vector<Variable>& inputs, const Tensor& gy) {
  const autograd::NoGrad no_grad;
  const Tensor y = f(inputs).value();
  double sum = 0;
  for (int64_t i = 0; i < y.numel(); ++i) sum += y.data<double>()[i] * gy.data<double>()[i];
  return sum;
}

// Checks input `which`; stops at its first wrong element.
void check_input(const Function& f, const std::vector<Variable>& inputs, size_t which,
                 const Tensor& gy, const GradcheckOptions& options) {
  const Tensor& value = inputs[which].value();
  const Tensor& gradient = inputs[which].grad();
  ASSERT_TRUE(gradient.defined()) << "input " << which << " got no gradient";
  ASSERT_EQ(gradient.shape(), value.shape()) << "input " << which;
  const int64_t stride = std::max<int64_t>(1, value.numel() / options.max_elements);
  for (int64_t i = 0; i < value.numel(); i += stride) {
    double& element = value.data<double>()[i];
    const double before = element;
    element = before + options.step;
    const double above = weighted_sum(f, inputs, gy);
    element = before - options.step;
    const double below = weighted_sum(f, inputs, gy);
    element = before;
    const double numeric = (above - below) / (2 * options.step);
    ASSERT_NEAR(gradient.data<double>()[i], numeric,
                options.tolerance * std::max(1.0, std::abs(numeric)))
        << "input " << which << " " << value << ", element " << i << " = " << before;
  }
}

}  // namespace

Tensor random_real(const Shape& shape, uint64_t seed, double low, double high) {
  Tensor t = Tensor::empty(shape, DType::f64);
  Random random(seed);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data<double>()[i] = low + (high - low) * static_cast<double>(random.uniform());
  return t;
}

Variable random_leaf(const Shape& shape, uint64_t seed, double low, double high) {
  return Variable(random_real(shape, seed, low, high), true);
}

void check_gradients(const Function& f, const std::vector<Variable>& inputs,
                     const GradcheckOptions& options) {
  for (Variable input : inputs)
    if (input.defined()) input.zero_grad();
  const Variable y = f(inputs);
  ASSERT_EQ(y.dtype(), DType::f64);
  const Tensor gy = random_real(y.shape(), 4711);
  y.backward(gy.clone());
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].requires_grad()) check_input(f, inputs, i, gy, options);
}

}  // namespace stair::test
