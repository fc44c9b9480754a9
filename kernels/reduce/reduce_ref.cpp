#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/reduce/reduce.h"

namespace stair::kernels {
namespace {

// Calls f(element, channel) in memory order.
template <class F>
void for_elements(const ChannelLayout& l, const F& f) {
  for (int64_t i = 0; i < l.numel(); ++i) f(i, i / l.inner % l.channels);
}

template <class T>
void min_max(const typename MinMax<T>::Args& a) {
  std::fill(a.min, a.min + a.layout.channels, std::numeric_limits<T>::infinity());
  std::fill(a.max, a.max + a.layout.channels, -std::numeric_limits<T>::infinity());
  *a.non_finite = 0;
  for_elements(a.layout, [&](int64_t i, int64_t c) {
    if (!std::isfinite(a.x[i])) {
      ++*a.non_finite;
      return;
    }
    a.min[c] = std::min(a.min[c], a.x[i]);
    a.max[c] = std::max(a.max[c], a.x[i]);
  });
}

// sum[c] = sum of term(i) over the elements i of the channel.
template <class T, class Term>
void sum_terms(const ChannelLayout& l, T* sum, const Term& term) {
  std::vector<double> total(static_cast<size_t>(l.channels), 0.0);
  for_elements(l, [&](int64_t i, int64_t c) { total[static_cast<size_t>(c)] += term(i); });
  for (int64_t c = 0; c < l.channels; ++c) sum[c] = static_cast<T>(total[static_cast<size_t>(c)]);
}

template <class T>
void sum_channels(const typename SumChannels<T>::Args& a) {
  sum_terms(a.layout, a.sum, [&](int64_t i) { return static_cast<double>(a.x[i]); });
}

template <class T>
void dot_channels(const typename DotChannels<T>::Args& a) {
  sum_terms(a.layout, a.sum, [&](int64_t i) { return static_cast<double>(a.a[i]) * a.b[i]; });
}

template <class T>
struct Kernels {
  static constexpr typename MinMax<T>::Impl kMinMax{min_max<T>};
  static constexpr typename SumChannels<T>::Impl kSum{sum_channels<T>};
  static constexpr typename DotChannels<T>::Impl kDot{dot_channels<T>};
};

}  // namespace

void register_reduce_ref(Registry& r) {
  r.add(MinMax<float>::kName, "min_max_f32_ref", Isa::ref, &Kernels<float>::kMinMax);
  r.add(MinMax<double>::kName, "min_max_f64_ref", Isa::ref, &Kernels<double>::kMinMax);
  r.add(SumChannels<float>::kName, "sum_channels_f32_ref", Isa::ref, &Kernels<float>::kSum);
  r.add(SumChannels<double>::kName, "sum_channels_f64_ref", Isa::ref, &Kernels<double>::kSum);
  r.add(DotChannels<float>::kName, "dot_channels_f32_ref", Isa::ref, &Kernels<float>::kDot);
  r.add(DotChannels<double>::kName, "dot_channels_f64_ref", Isa::ref, &Kernels<double>::kDot);
}

}  // namespace stair::kernels
