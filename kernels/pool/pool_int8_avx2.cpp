#include <immintrin.h>

#include "core/parallel.h"
#include "kernels/pool/pool.h"

namespace stair::kernels {
namespace {

constexpr int64_t kLanes = 32;

// The part of a window in the picture, and where the window begins.
struct Window {
  int64_t n, y, x, y_begin, y_end, x_begin, x_end;
};

// Channels [c, c + 32) of one output pixel; only `count` exist when fewer. A window wholly in the
// padding gives code 0.
template <class T>
[[gnu::always_inline]] inline void max_of_window(const typename MaxPool<T>::Args& a,
                                                 const Window& w, int64_t c, int64_t count,
                                                 int64_t out) {
  const PoolShape& s = a.s;
  // Bytes compare as signed ones: unsigned codes have their top bit flipped for it.
  const __m256i flip = _mm256_set1_epi8(T(-1) < T(0) ? 0 : -128);
  alignas(32) uint8_t bytes[kLanes] = {};
  __m256i best = flip, index = _mm256_setzero_si256();
  bool first = true;
  for (int64_t iy = w.y_begin; iy < w.y_end; ++iy) {
    const T* line = a.x + (w.n * s.h + iy) * s.w * s.c + c;
    for (int64_t ix = w.x_begin; ix < w.x_end; ++ix) {
      const T* source = line + ix * s.c;
      if (count < kLanes) {
        __builtin_memcpy(bytes, source, static_cast<size_t>(count));
        source = reinterpret_cast<const T*>(bytes);
      }
      const __m256i codes =
          _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(source)), flip);
      const __m256i place = _mm256_set1_epi8(static_cast<char>((iy - w.y) * s.kw + ix - w.x));
      const __m256i greater = first ? _mm256_set1_epi8(-1) : _mm256_cmpgt_epi8(codes, best);
      best = _mm256_blendv_epi8(best, codes, greater);
      index = _mm256_blendv_epi8(index, place, greater);
      first = false;
    }
  }
  alignas(32) uint8_t codes[kLanes], places[kLanes];
  _mm256_store_si256(reinterpret_cast<__m256i*>(codes), _mm256_xor_si256(best, flip));
  _mm256_store_si256(reinterpret_cast<__m256i*>(places), index);
  if (count >= kLanes) {
    __builtin_memcpy(a.y + out, codes, kLanes);
    for (int64_t i = 0; a.index && i < kLanes; ++i) a.index[out + i] = places[i];
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    a.y[out + i] = static_cast<T>(codes[i]);
    if (a.index) a.index[out + i] = places[i];
  }
}

// The same without places: no comparison, one maximum an input.
template <class T>
[[gnu::always_inline]] inline void max_alone(const typename MaxPool<T>::Args& a, const Window& w,
                                             int64_t c, int64_t count, int64_t out) {
  const PoolShape& s = a.s;
  constexpr bool kSigned = T(-1) < T(0);
  const bool empty = w.y_begin >= w.y_end || w.x_begin >= w.x_end;
  __m256i best = _mm256_set1_epi8(kSigned && !empty ? -128 : 0);
  for (int64_t iy = w.y_begin; iy < w.y_end; ++iy) {
    const T* source = a.x + ((w.n * s.h + iy) * s.w + w.x_begin) * s.c + c;
    for (int64_t ix = w.x_begin; ix < w.x_end; ++ix, source += s.c) {
      alignas(32) uint8_t bytes[kLanes] = {};
      if (count < kLanes) __builtin_memcpy(bytes, source, static_cast<size_t>(count));
      const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(
          count < kLanes ? static_cast<const void*>(bytes) : static_cast<const void*>(source)));
      best = kSigned ? _mm256_max_epi8(best, codes) : _mm256_max_epu8(best, codes);
    }
  }
  alignas(32) uint8_t codes[kLanes];
  _mm256_store_si256(reinterpret_cast<__m256i*>(codes), best);
  __builtin_memcpy(a.y + out, codes, static_cast<size_t>(count < kLanes ? count : kLanes));
}

[[gnu::always_inline]] inline int64_t clamped(int64_t v, int64_t high) {
  return v < 0 ? 0 : v < high ? v : high;
}

template <class T>
void max_pool(const typename MaxPool<T>::Args& a) {
  const PoolShape s = a.s;
  const int64_t oh = (s.h + s.pad_top + s.pad_bottom - s.kh) / s.stride_h + 1;
  const int64_t ow = (s.w + s.pad_left + s.pad_right - s.kw) / s.stride_w + 1;
  const int64_t row_work = ow * s.c * s.kh * s.kw;
  parallel_for(s.n * oh, row_work < (1 << 17) ? (1 << 17) / row_work : 1,
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   const int64_t y = row % oh * s.stride_h - s.pad_top;
                   for (int64_t ox = 0; ox < ow; ++ox) {
                     const int64_t x = ox * s.stride_w - s.pad_left, out = (row * ow + ox) * s.c;
                     const Window w{row / oh,
                                    y,
                                    x,
                                    clamped(y, s.h),
                                    clamped(y + s.kh, s.h),
                                    clamped(x, s.w),
                                    clamped(x + s.kw, s.w)};
                     // The last vector begins earlier where the channels are no multiple of 32.
                     for (int64_t c = 0; c < s.c; c += kLanes) {
                       const int64_t at = s.c >= kLanes && c + kLanes > s.c ? s.c - kLanes : c;
                       if (a.index)
                         max_of_window<T>(a, w, at, s.c - at, out + at);
                       else
                         max_alone<T>(a, w, at, s.c - at, out + at);
                     }
                   }
                 }
               });
}

// Places in the window are kept as bytes.
template <class T>
bool supports(const typename MaxPool<T>::Args& a) {
  return a.s.kh * a.s.kw <= 256;
}

constexpr MaxPool<uint8_t>::Impl kMaxPoolU8{max_pool<uint8_t>, supports<uint8_t>};
constexpr MaxPool<int8_t>::Impl kMaxPoolS8{max_pool<int8_t>, supports<int8_t>};

}  // namespace

void register_pool_int8_avx2(Registry& r) {
  r.add(MaxPool<uint8_t>::kName, "max_pool_u8_avx2", Isa::avx2, &kMaxPoolU8);
  r.add(MaxPool<int8_t>::kName, "max_pool_s8_avx2", Isa::avx2, &kMaxPoolS8);
}

}  // namespace stair::kernels
