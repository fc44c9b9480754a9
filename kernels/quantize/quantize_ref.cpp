#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/quantize/quantize.h"

namespace stair::kernels {
namespace {

// Calls f(element, channel) in memory order.
template <class F>
void for_elements(const ChannelLayout& l, const F& f) {
  for (int64_t i = 0; i < l.numel(); ++i) f(i, i / l.inner % l.channels);
}

void store_code(void* q, DType dtype, int64_t i, int64_t code) {
  if (dtype == DType::u8)
    static_cast<uint8_t*>(q)[i] = static_cast<uint8_t>(code);
  else if (dtype == DType::s8)
    static_cast<int8_t*>(q)[i] = static_cast<int8_t>(code);
  else
    static_cast<int32_t*>(q)[i] = static_cast<int32_t>(code);
}

int64_t load_code(const void* q, DType dtype, int64_t i) {
  if (dtype == DType::u8) return static_cast<const uint8_t*>(q)[i];
  if (dtype == DType::s8) return static_cast<const int8_t*>(q)[i];
  return static_cast<const int32_t*>(q)[i];
}

template <class T>
void quantize(const typename Quantize<T>::Args& a) {
  if (a.inside != nullptr)
    std::memset(a.inside, 0, static_cast<size_t>((a.layout.numel() + 7) / 8));
  for_elements(a.layout, [&](int64_t i, int64_t c) {
    const float inv_scale = 1.0F / a.scale[c];
    const int32_t zero_point = a.zero_point[c];
    // A double holds every sum that can lie in range exactly, and saturates for the others.
    const double v =
        static_cast<double>(std::nearbyint(a.x[i] * static_cast<T>(inv_scale))) + zero_point;
    const double low = a.relu ? std::max(a.qmin, zero_point) : a.qmin;
    const double code =
        std::isnan(v) ? zero_point : std::clamp(v, low, static_cast<double>(a.qmax));
    store_code(a.q, a.q_dtype, i, static_cast<int64_t>(code));
    const bool inside = v >= a.qmin && v <= a.qmax && (!a.relu || a.x[i] > 0);
    if (a.inside != nullptr && inside)
      a.inside[i / 8] = static_cast<uint8_t>(a.inside[i / 8] | 1 << i % 8);
  });
}

template <class T>
void dequantize(const typename Dequantize<T>::Args& a) {
  for_elements(a.layout, [&](int64_t i, int64_t c) {
    a.x[i] =
        static_cast<T>(load_code(a.q, a.q_dtype, i) - a.zero_point[c]) * static_cast<T>(a.scale[c]);
  });
}

template <class T>
void apply_mask(const typename ApplyMask<T>::Args& a) {
  for (int64_t i = 0; i < a.n; ++i) a.gx[i] = a.inside[i / 8] >> i % 8 & 1 ? a.gy[i] : T(0);
}

template <class T>
struct Kernels {
  static constexpr typename Quantize<T>::Impl kQuantize{quantize<T>};
  static constexpr typename Dequantize<T>::Impl kDequantize{dequantize<T>};
  static constexpr typename ApplyMask<T>::Impl kApplyMask{apply_mask<T>};
};

}  // namespace

void register_quantize_ref(Registry& r) {
  r.add(Quantize<float>::kName, "quantize_f32_ref", Isa::ref, &Kernels<float>::kQuantize);
  r.add(Quantize<double>::kName, "quantize_f64_ref", Isa::ref, &Kernels<double>::kQuantize);
  r.add(Dequantize<float>::kName, "dequantize_f32_ref", Isa::ref, &Kernels<float>::kDequantize);
  r.add(Dequantize<double>::kName, "dequantize_f64_ref", Isa::ref, &Kernels<double>::kDequantize);
  r.add(ApplyMask<float>::kName, "apply_mask_f32_ref", Isa::ref, &Kernels<float>::kApplyMask);
  r.add(ApplyMask<double>::kName, "apply_mask_f64_ref", Isa::ref, &Kernels<double>::kApplyMask);
}

}  // namespace stair::kernels
