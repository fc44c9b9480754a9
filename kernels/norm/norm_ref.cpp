#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/norm/norm.h"

namespace stair::kernels {
namespace {

// Mean and biased variance of one channel, by two passes.
template <class T>
void moments(const T* x, int64_t rows, int64_t channels, int64_t c, double& mean, double& var) {
  mean = var = 0;
  if (rows == 0) return;
  for (int64_t r = 0; r < rows; ++r) mean += x[r * channels + c];
  mean /= static_cast<double>(rows);
  for (int64_t r = 0; r < rows; ++r) {
    const double d = x[r * channels + c] - mean;
    var += d * d;
  }
  var /= static_cast<double>(rows);
}

template <class T>
void forward(const typename BatchNormForward<T>::Args& a) {
  for (int64_t c = 0; c < a.channels; ++c) {
    double mean = a.training ? 0 : static_cast<double>(a.mean[c]),
           var = a.training ? 0 : static_cast<double>(a.var[c]);
    if (a.training) moments(a.x, a.rows, a.channels, c, mean, var);
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
void statistics(const typename BatchStatistics<T>::Args& a) {
  for (int64_t c = 0; c < a.channels; ++c) {
    double mean = 0, var = 0;
    moments(a.x, a.rows, a.channels, c, mean, var);
    a.mean[c] = static_cast<T>(mean);
    a.var[c] = static_cast<T>(var);
    a.rest[c] = static_cast<T>(mean - static_cast<double>(a.mean[c]));
    if (a.min == nullptr) continue;
    a.min[c] = std::numeric_limits<T>::infinity();
    a.max[c] = -a.min[c];
    for (int64_t i = c; i < a.rows * a.channels; i += a.channels) {
      if (a.x[i] < a.min[c]) a.min[c] = a.x[i];
      if (a.x[i] > a.max[c]) a.max[c] = a.x[i];
    }
  }
}

template <class T>
T normalized(const NormalizedOutput<T>& k, int64_t i) {
  const int64_t c = i % k.channels;
  return (k.x[i] - k.mean[c]) * k.scale[c] + k.shift[c];
}

template <class T>
T activated(const NormalizedOutput<T>& k, T y) {
  return y < k.low ? k.low : y > k.high ? k.high : y;
}

// The code before its clamp.
template <class T>
T unclamped(const NormalizedOutput<T>& k, T y) {
  return std::nearbyint(activated(k, y) * static_cast<T>(1.0F / k.q_scale)) +
         static_cast<T>(k.zero_point);
}

template <class T>
void normalize_activate(const typename NormalizeActivate<T>::Args& a) {
  const NormalizedOutput<T>& k = a.output;
  for (int64_t i = 0; i < k.rows * k.channels; ++i) {
    const T y = normalized(k, i);
    if (k.dtype == DType::f32) {
      static_cast<float*>(a.result)[i] = static_cast<float>(activated(k, y));
      continue;
    }
    T v = unclamped(k, y);
    if (std::isnan(v)) v = static_cast<T>(k.zero_point);
    const auto code =
        static_cast<int32_t>(std::clamp(v, static_cast<T>(k.qmin), static_cast<T>(k.qmax)));
    if (k.dtype == DType::u8)
      static_cast<uint8_t*>(a.result)[i] = static_cast<uint8_t>(code);
    else
      static_cast<int8_t*>(a.result)[i] = static_cast<int8_t>(code);
  }
}

template <class T>
T inside_gradient(const NormalizedOutput<T>& k, const T* gy, int64_t i) {
  if (!k.active()) return gy[i];
  const T y = normalized(k, i);
  bool inside = y > k.low && y < k.high;
  if (k.dtype != DType::f32) {
    const T v = unclamped(k, y);
    inside = inside && v >= static_cast<T>(k.qmin) && v <= static_cast<T>(k.qmax);
  }
  return inside ? gy[i] : T(0);
}

template <class T>
void normalize_activate_sums(const typename NormalizeActivateSums<T>::Args& a) {
  const NormalizedOutput<T>& k = a.output;
  for (int64_t c = 0; c < k.channels; ++c)
    for (int64_t i = c; i < k.rows * k.channels; i += k.channels) {
      const double g = inside_gradient(k, a.gy, i);
      a.sums[c] += g;
      a.sums[k.channels + c] += g * (static_cast<double>(k.x[i]) - static_cast<double>(k.mean[c]));
    }
}

template <class T>
void normalize_activate_gradient(const typename NormalizeActivateGradient<T>::Args& a) {
  const NormalizedOutput<T>& k = a.output;
  for (int64_t i = 0; i < k.rows * k.channels; ++i) {
    const int64_t c = i % k.channels;
    const T *scale = a.factors, *shift = scale + k.channels, *slope = shift + k.channels;
    const double g = inside_gradient(k, a.gy, i) - static_cast<double>(shift[c]);
    const double along = (static_cast<double>(k.x[i]) - static_cast<double>(k.mean[c])) *
                         static_cast<double>(slope[c]);
    a.gx[i] = static_cast<T>(static_cast<double>(scale[c]) * (g - along));
  }
}

template <class T>
struct Kernels {
  static constexpr typename BatchStatistics<T>::Impl kStatistics{statistics<T>};
  static constexpr typename NormalizeActivate<T>::Impl kActivate{normalize_activate<T>};
  static constexpr typename NormalizeActivateSums<T>::Impl kSums{normalize_activate_sums<T>};
  static constexpr
      typename NormalizeActivateGradient<T>::Impl kGradient{normalize_activate_gradient<T>};
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
  r.add(BatchStatistics<float>::kName, "batch_statistics_f32_ref", Isa::ref,
        &Kernels<float>::kStatistics);
  r.add(NormalizeActivate<float>::kName, "normalize_activate_f32_ref", Isa::ref,
        &Kernels<float>::kActivate);
  r.add(NormalizeActivateSums<float>::kName, "normalize_activate_sums_f32_ref", Isa::ref,
        &Kernels<float>::kSums);
  r.add(NormalizeActivateGradient<float>::kName, "normalize_activate_gradient_f32_ref", Isa::ref,
        &Kernels<float>::kGradient);
}

}  // namespace stair::kernels
