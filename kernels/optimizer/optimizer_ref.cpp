#include <cmath>

#include "kernels/optimizer/optimizer.h"

namespace stair::kernels {
namespace {

template <class T>
void sgd(const typename Sgd<T>::Args& a) {
  const T lr = static_cast<T>(a.lr), momentum = static_cast<T>(a.momentum),
          weight_decay = static_cast<T>(a.weight_decay);
  const T gain = static_cast<T>(1 - a.dampening);
  for (int64_t i = 0; i < a.n; ++i) {
    const T g = a.g[i] + weight_decay * a.p[i];
    T d = g;
    if (a.momentum != 0) {
      a.v[i] = a.first ? g : momentum * a.v[i] + gain * g;
      d = a.nesterov ? g + momentum * a.v[i] : a.v[i];
    }
    a.p[i] -= lr * d;
  }
}

template <class T>
void adam(const typename Adam<T>::Args& a) {
  const double step = static_cast<double>(a.step);
  const T rate = static_cast<T>(a.lr / (1 - std::pow(a.beta1, step)));
  const T root_correction = static_cast<T>(std::sqrt(1 - std::pow(a.beta2, step)));
  const T beta1 = static_cast<T>(a.beta1), gain1 = static_cast<T>(1 - a.beta1);
  const T beta2 = static_cast<T>(a.beta2), gain2 = static_cast<T>(1 - a.beta2),
          eps = static_cast<T>(a.eps);
  const T weight_decay = static_cast<T>(a.weight_decay),
          keep = static_cast<T>(1 - a.lr * a.weight_decay);
  for (int64_t i = 0; i < a.n; ++i) {
    const T p = a.decoupled ? a.p[i] * keep : a.p[i];
    const T g = a.decoupled ? a.g[i] : a.g[i] + weight_decay * p;
    a.m[i] = beta1 * a.m[i] + gain1 * g;
    a.v[i] = beta2 * a.v[i] + gain2 * g * g;
    a.p[i] = p - rate * a.m[i] / (std::sqrt(a.v[i]) / root_correction + eps);
  }
}

constexpr Sgd<float>::Impl kSgdF32{sgd<float>};
constexpr Sgd<double>::Impl kSgdF64{sgd<double>};
constexpr Adam<float>::Impl kAdamF32{adam<float>};
constexpr Adam<double>::Impl kAdamF64{adam<double>};

}  // namespace

void register_optimizer_ref(Registry& r) {
  r.add(Sgd<float>::kName, "sgd_f32_ref", Isa::ref, &kSgdF32);
  r.add(Sgd<double>::kName, "sgd_f64_ref", Isa::ref, &kSgdF64);
  r.add(Adam<float>::kName, "adam_f32_ref", Isa::ref, &kAdamF32);
  r.add(Adam<double>::kName, "adam_f64_ref", Isa::ref, &kAdamF64);
}

}  // namespace stair::kernels
