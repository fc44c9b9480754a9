#include <cmath>

#include "kernels/norm/norm.h"

namespace stair::kernels {
namespace {

// Mean and biased variance of one channel, by two passes.
template <class T>
void batch_statistics(const typename BatchNormForward<T>::Args& a, int64_t c, double& mean,
                      double& var) {
  mean = var = 0;
  if (a.rows == 0) return;
  const double rows = static_cast<double>(a.rows);
  for (int64_t r = 0; r < a.rows; ++r) mean += a.x[r * a.channels + c];
  mean /= rows;
  for (int64_t r = 0; r < a.rows; ++r) {
    const double d = a.x[r * a.channels + c] - mean;
    var += d * d;
  }
  var /= rows;
}

template <class T>
void forward(const typename BatchNormForward<T>::Args& a) {
  for (int64_t c = 0; c < a.channels; ++c) {
    double mean = a.training ? 0 : static_cast<double>(a.mean[c]),
           var = a.training ? 0 : static_cast<double>(a.var[c]);
    if (a.training) batch_statistics<T>(a, c, mean, var);
    const double invstd = 1 / std::sqrt(var + a.eps);
    const double gamma = a.gamma ? static_cast<double>(a.gamma[c]) : 1.0,
                 beta = a.beta ? static_cast<double>(a.beta[c]) : 0.0;
    if (a.training) {
      a.mean[c] = static_cast<T>(mean);
      a.var[c] = static_cast<T>(var);
    }
    a.invstd[c] = static_cast<T>(invstd);
    for (int64_t i = c; i < a.rows * a.channels; i += a.channels)
      a.y[i] = static_cast<T>((a.x[i] - mean) * invstd * gamma + beta);
  }
}

template <class T>
void backward(const typename BatchNormBackward<T>::Args& a) {
  const int64_t n = a.rows * a.channels;
  for (int64_t c = 0; c < a.channels; ++c) {
    const double mean = a.mean[c], invstd = a.invstd[c],
                 gamma = a.gamma ? static_cast<double>(a.gamma[c]) : 1.0;
    double ggamma = 0, gbeta = 0;
    for (int64_t i = c; i < n; i += a.channels) {
      ggamma += a.gy[i] * (a.x[i] - mean) * invstd;
      gbeta += a.gy[i];
    }
    a.ggamma[c] = static_cast<T>(ggamma);
    a.gbeta[c] = static_cast<T>(gbeta);
    if (a.gx == nullptr) continue;
    const double share = a.training && a.rows > 0 ? 1.0 / static_cast<double>(a.rows) : 0.0;
    for (int64_t i = c; i < n; i += a.channels) {
      const double xhat = (a.x[i] - mean) * invstd;
      a.gx[i] = static_cast<T>(gamma * invstd * (a.gy[i] - gbeta * share - xhat * ggamma * share));
    }
  }
}

template <class T>
struct Kernels {
  static constexpr typename BatchNormForward<T>::Impl kForward{forward<T>};
  static constexpr typename BatchNormBackward<T>::Impl kBackward{backward<T>};
};

}  // namespace

void register_norm_ref(Registry& r) {
  r.add(BatchNormForward<float>::kName, "batch_norm_forward_f32_ref", Isa::ref,
        &Kernels<float>::kForward);
  r.add(BatchNormForward<double>::kName, "batch_norm_forward_f64_ref", Isa::ref,
        &Kernels<double>::kForward);
  r.add(BatchNormBackward<float>::kName, "batch_norm_backward_f32_ref", Isa::ref,
        &Kernels<float>::kBackward);
  r.add(BatchNormBackward<double>::kName, "batch_norm_backward_f64_ref", Isa::ref,
        &Kernels<double>::kBackward);
}

}  // namespace stair::kernels
