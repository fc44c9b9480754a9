#include "nn/gradients.h"

#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "nn/finite.h"

namespace stair::nn {
namespace {

constexpr int64_t kGrain = 1 << 14;

template <class T>
double sum_of_squares(const T* x, int64_t n) {
  std::vector<double> partial(static_cast<size_t>((n + kGrain - 1) / kGrain));
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t i = begin; i < end; ++i)
      sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    partial[static_cast<size_t>(begin / kGrain)] = sum;
  });
  double sum = 0;
  for (double p : partial) sum += p;
  return sum;
}

template <class T>
void scale(T* x, int64_t n, T factor) {
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) x[i] *= factor;
  });
}

}  // namespace

double gradient_norm(const std::vector<NamedVariable>& parameters) {
  double sum = 0;
  for (const NamedVariable& p : parameters) {
    const Tensor& g = p.variable.grad();
    if (!g.defined()) continue;
    sum += g.dtype() == DType::f64 ? sum_of_squares(g.data<double>(), g.numel())
                                   : sum_of_squares(g.data<float>(), g.numel());
  }
  return std::sqrt(sum);
}

double clip_grad_norm(const std::vector<NamedVariable>& parameters, double max_norm) {
  if (!(max_norm > 0))
    throw ConfigError(str("clip_grad_norm: max_norm ", max_norm, ", expected a positive number"));
  const double norm = gradient_norm(parameters), factor = max_norm / (norm + 1e-6);
  if (!std::isfinite(norm) || factor >= 1) return norm;
  for (NamedVariable p : parameters) {
    if (!p.variable.grad().defined()) continue;
    // Backward may hand one tensor to several variables.
    Tensor g = p.variable.grad().clone();
    if (g.dtype() == DType::f64)
      scale(g.data<double>(), g.numel(), factor);
    else
      scale(g.data<float>(), g.numel(), static_cast<float>(factor));
    p.variable.set_grad(g);
  }
  return norm;
}

void require_finite_gradients(const std::vector<NamedVariable>& parameters) {
  for (const NamedVariable& p : parameters) {
    if (!p.variable.grad().defined()) continue;
    if (const int64_t i = first_non_finite(p.variable.grad()); i >= 0)
      throw NumericsError(
          str("gradient of '", p.name, "' ", p.variable.grad(), ": element ", i, " is not finite"),
          "a smaller learning rate or gradient clipping may help");
  }
}

}  // namespace stair::nn
