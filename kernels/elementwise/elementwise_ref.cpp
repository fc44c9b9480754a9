#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/elementwise/elementwise.h"

namespace stair::kernels {
namespace {

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}
double relu6(double x) {
  return x < 0 ? 0 : x > 6 ? 6 : x;
}
// Distribution function of the standard normal; erfc keeps its digits in the lower tail.
double phi(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}
double phi_density(double x) {
  return std::exp(-0.5 * x * x) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
}

double value(UnaryFn fn, double x, double alpha, double beta) {
  switch (fn) {
    case UnaryFn::relu:
      return x < 0 ? 0 : x;
    case UnaryFn::relu6:
      return relu6(x);
    case UnaryFn::clamp:
      return x < alpha ? alpha : x > beta ? beta : x;
    case UnaryFn::leaky_relu:
      return x < 0 ? alpha * x : x;
    case UnaryFn::sigmoid:
      return sigmoid(x);
    case UnaryFn::tanh:
      return std::tanh(x);
    case UnaryFn::hardsigmoid:
      return relu6(x + 3) / 6;
    case UnaryFn::hardswish:
      return x * relu6(x + 3) / 6;
    case UnaryFn::silu:
      return x * sigmoid(x);
    case UnaryFn::gelu:
      return x * phi(x);
  }
  return x;
}

double derivative(UnaryFn fn, double x, double alpha, double beta) {
  switch (fn) {
    case UnaryFn::relu:
      return x > 0 ? 1 : 0;
    case UnaryFn::relu6:
      return x > 0 && x < 6 ? 1 : 0;
    case UnaryFn::clamp:
      return x >= alpha && x <= beta ? 1 : 0;
    case UnaryFn::leaky_relu:
      return x > 0 ? 1 : alpha;
    case UnaryFn::sigmoid:
      return sigmoid(x) * sigmoid(-x);
    case UnaryFn::tanh:
      return (1 - std::tanh(x)) * (1 + std::tanh(x));
    case UnaryFn::hardsigmoid:
      return x > -3 && x < 3 ? 1.0 / 6 : 0;
    case UnaryFn::hardswish:
      return x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5;
    case UnaryFn::silu:
      return sigmoid(x) * (1 + x * sigmoid(-x));
    case UnaryFn::gelu:
      return phi(x) + x * phi_density(x);
  }
  return 1;
}

template <class T>
void unary(const typename Unary<T>::Args& a) {
  for (int64_t i = 0; i < a.n; ++i) a.y[i] = static_cast<T>(value(a.fn, a.x[i], a.alpha, a.beta));
}

template <class T>
void unary_backward(const typename UnaryBackward<T>::Args& a) {
  for (int64_t i = 0; i < a.n; ++i) {
    const double slope = derivative(a.fn, a.x[i], a.alpha, a.beta);
    a.gx[i] = slope == 0 ? T(0) : static_cast<T>(a.gy[i] * slope);
  }
}

template <class T>
T combine(BinaryFn fn, T a, T b) {
  switch (fn) {
    case BinaryFn::add:
      return a + b;
    case BinaryFn::sub:
      return a - b;
    case BinaryFn::mul:
      return a * b;
    case BinaryFn::div:
      return a / b;
  }
  return a;
}

template <class T>
void binary(const typename Binary<T>::Args& a) {
  for (int64_t i = 0; i < a.n; ++i) a.y[i] = combine(a.fn, a.a[i], a.b[i]);
}

template <class T>
void axpy(const typename Axpy<T>::Args& a) {
  for (int64_t i = 0; i < a.n; ++i) a.y[i] += a.alpha * a.x[i];
}

template <class T>
struct Kernels {
  static constexpr typename Unary<T>::Impl kUnary{unary<T>};
  static constexpr typename UnaryBackward<T>::Impl kUnaryBackward{unary_backward<T>};
  static constexpr typename Binary<T>::Impl kBinary{binary<T>};
  static constexpr typename Axpy<T>::Impl kAxpy{axpy<T>};
  static constexpr typename StoreFar<T>::Impl kStoreFar{
      [](const typename StoreFar<T>::Args& a) { std::copy(a.x, a.x + a.n, a.y); }};
};

}  // namespace

void register_elementwise_ref(Registry& r) {
  r.add(Unary<float>::kName, "unary_f32_ref", Isa::ref, &Kernels<float>::kUnary);
  r.add(Unary<double>::kName, "unary_f64_ref", Isa::ref, &Kernels<double>::kUnary);
  r.add(UnaryBackward<float>::kName, "unary_backward_f32_ref", Isa::ref,
        &Kernels<float>::kUnaryBackward);
  r.add(UnaryBackward<double>::kName, "unary_backward_f64_ref", Isa::ref,
        &Kernels<double>::kUnaryBackward);
  r.add(Binary<float>::kName, "binary_f32_ref", Isa::ref, &Kernels<float>::kBinary);
  r.add(Binary<double>::kName, "binary_f64_ref", Isa::ref, &Kernels<double>::kBinary);
  r.add(StoreFar<float>::kName, "store_far_f32_ref", Isa::ref, &Kernels<float>::kStoreFar);
  r.add(Axpy<float>::kName, "axpy_f32_ref", Isa::ref, &Kernels<float>::kAxpy);
  r.add(Axpy<double>::kName, "axpy_f64_ref", Isa::ref, &Kernels<double>::kAxpy);
}

}  // namespace stair::kernels
