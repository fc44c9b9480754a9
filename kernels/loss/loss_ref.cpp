#include <algorithm>
#include <cmath>

#include "kernels/loss/loss.h"

namespace stair::kernels {
namespace {

template <class T>
double log_sum_exp(const T* x, int64_t classes) {
  const double top = *std::max_element(x, x + classes);
  double sum = 0;
  for (int64_t c = 0; c < classes; ++c) sum += std::exp(x[c] - top);
  return top + std::log(sum);
}

template <class T>
void cross_entropy(const typename SoftmaxCrossEntropy<T>::Args& a) {
  const double smoothing = a.smoothing;
  for (int64_t r = 0; r < a.rows; ++r) {
    const T* x = a.x + r * a.classes;
    T* grad = a.grad ? a.grad + r * a.classes : nullptr;
    a.loss[r] = 0;
    if (a.target[r] == a.ignore_index) {
      if (grad) std::fill(grad, grad + a.classes, T(0));
      continue;
    }
    const double total = log_sum_exp(x, a.classes);
    double loss = 0;
    for (int64_t c = 0; c < a.classes; ++c) {
      const double t =
          (c == a.target[r] ? 1 - smoothing : 0.0) + smoothing / static_cast<double>(a.classes);
      // A class without weight adds nothing even when its probability is 0.
      if (t != 0) loss -= t * (x[c] - total);
      if (grad) grad[c] = static_cast<T>(std::exp(x[c] - total) - t);
    }
    a.loss[r] = static_cast<T>(loss);
  }
}

template <class T>
void softmax(const typename Softmax<T>::Args& a) {
  if (a.classes == 0) return;
  for (int64_t r = 0; r < a.rows; ++r) {
    const T* x = a.x + r * a.classes;
    T* y = a.y + r * a.classes;
    const double total = log_sum_exp(x, a.classes);
    for (int64_t c = 0; c < a.classes; ++c)
      y[c] = static_cast<T>(a.log ? x[c] - total : std::exp(x[c] - total));
  }
}

template <class T>
struct Kernels {
  static constexpr typename SoftmaxCrossEntropy<T>::Impl kCrossEntropy{cross_entropy<T>};
  static constexpr typename Softmax<T>::Impl kSoftmax{softmax<T>};
};

}  // namespace

void register_loss_ref(Registry& r) {
  r.add(SoftmaxCrossEntropy<float>::kName, "softmax_cross_entropy_f32_ref", Isa::ref,
        &Kernels<float>::kCrossEntropy);
  r.add(SoftmaxCrossEntropy<double>::kName, "softmax_cross_entropy_f64_ref", Isa::ref,
        &Kernels<double>::kCrossEntropy);
  r.add(Softmax<float>::kName, "softmax_f32_ref", Isa::ref, &Kernels<float>::kSoftmax);
  r.add(Softmax<double>::kName, "softmax_f64_ref", Isa::ref, &Kernels<double>::kSoftmax);
}

}  // namespace stair::kernels
