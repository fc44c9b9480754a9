#include <cmath>

#include "kernels/optimizer/optimizer.h"

namespace stair::kernels {
namespace {

template <class T>
void sgd(const typename Sgd<T>::Args& a) {
  for (int64_t i = 0; i < a.n; ++i) {
    const T g = a.g[i] + a.weight_decay * a.p[i];
    T d = g;
    if (a.momentum != 0) {
      a.v[i] = a.first ? g : a.momentum * a.v[i] + (1 - a.dampening) * g;
      d = a.nesterov ? g + a.momentum * a.v[i] : a.v[i];
    }
    a.p[i] -= a.lr * d;
  }
}

template <class T>
void adam(const typename Adam<T>::Args& a) {
  const T correction1 = 1 - static_cast<T>(std::pow(static_cast<double>(a.beta1), static_cast<double>(a.step)));
  const T correction2 = 1 - static_cast<T>(std::pow(static_cast<double>(a.beta2), static_cast<double>(a.step)));
  for (int64_t i = 0; i < a.n; ++i) {
    T g = a.g[i], p = a.p[i];
    if (a.decoupled)
      p -= a.lr * a.weight_decay * p;
    else
      g += a.weight_decay * p;
    a.m[i] = a.beta1 * a.m[i] + (1 - a.beta1) * g;
    a.v[i] = a.beta2 * a.v[i] + (1 - a.beta2) * g * g;
    a.p[i] = p - a.lr * (a.m[i] / correction1) / (std::sqrt(a.v[i] / correction2) + a.eps);
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
