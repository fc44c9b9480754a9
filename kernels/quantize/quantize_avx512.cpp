// GCC 12 takes the deliberately undefined registers inside its own intrinsics for uninitialized
// variables.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include "core/parallel.h"
#include "kernels/quantize/quantize.h"

namespace stair::kernels {
namespace {

struct Lanes {
  using F = __m512;
  using I = __m512i;
  using K = __mmask16;
  static constexpr int64_t kLanes = 16;

  [[gnu::always_inline]] static K first(int64_t n) { return static_cast<K>((1U << n) - 1); }
  [[gnu::always_inline]] static uint32_t bits(K k) { return k; }
  [[gnu::always_inline]] static K both(K a, K b) { return static_cast<K>(a & b); }
  [[gnu::always_inline]] static K flags(const uint8_t* bits) {
    K k;
    __builtin_memcpy(&k, bits, sizeof(k));
    return k;
  }
  [[gnu::always_inline]] static F keep(F v, K k) { return _mm512_maskz_mov_ps(k, v); }

  [[gnu::always_inline]] static F zero() { return _mm512_setzero_ps(); }
  [[gnu::always_inline]] static F broadcast(float v) { return _mm512_set1_ps(v); }
  [[gnu::always_inline]] static I broadcast(int32_t v) { return _mm512_set1_epi32(v); }
  [[gnu::always_inline]] static F load(const float* p) { return _mm512_loadu_ps(p); }
  [[gnu::always_inline]] static F load(const float* p, K k) { return _mm512_maskz_loadu_ps(k, p); }
  [[gnu::always_inline]] static I load(const int32_t* p) { return _mm512_loadu_si512(p); }
  [[gnu::always_inline]] static I load(const int32_t* p, K k) {
    return _mm512_maskz_loadu_epi32(k, p);
  }
  [[gnu::always_inline]] static void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  [[gnu::always_inline]] static void store(float* p, F v, K k) { _mm512_mask_storeu_ps(p, k, v); }
  // The low bytes of v.
  [[gnu::always_inline]] static void store(uint8_t* p, I v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v));
  }
  [[gnu::always_inline]] static void store(uint8_t* p, I v, int64_t n) {
    _mm512_mask_cvtepi32_storeu_epi8(p, first(n), v);
  }
  [[gnu::always_inline]] static I widen(const uint8_t* p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  [[gnu::always_inline]] static I widen(const int8_t* p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }

  [[gnu::always_inline]] static I add(I a, I b) { return _mm512_add_epi32(a, b); }
  [[gnu::always_inline]] static I sub(I a, I b) { return _mm512_sub_epi32(a, b); }
  [[gnu::always_inline]] static F to_float(I v) { return _mm512_cvtepi32_ps(v); }
  [[gnu::always_inline]] static I to_int(F v) { return _mm512_cvtps_epi32(v); }
  [[gnu::always_inline]] static K number(F v) { return _mm512_cmp_ps_mask(v, v, _CMP_ORD_Q); }
  // Nearest integers, ties to even; 0 outside k.
  [[gnu::always_inline]] static F round(F v, K k) {
    return _mm512_maskz_roundscale_ps(k, v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  [[gnu::always_inline]] static F clamp(F v, F low, F high) {
    return _mm512_min_ps(_mm512_max_ps(v, low), high);
  }
  // Comparisons within k.
  [[gnu::always_inline]] static K equal(F a, F b, K k) {
    return _mm512_mask_cmp_ps_mask(k, a, b, _CMP_EQ_OQ);
  }
  [[gnu::always_inline]] static K positive(F v, K k) {
    return _mm512_mask_cmp_ps_mask(k, v, zero(), _CMP_GT_OQ);
  }
};

#include "kernels/quantize/quantize_simd.inc"

}  // namespace

void register_quantize_avx512(Registry& r) {
  r.add(Quantize<float>::kName, "quantize_f32_avx512", Isa::avx512, &kQuantize);
  r.add(Dequantize<float>::kName, "dequantize_f32_avx512", Isa::avx512, &kDequantize);
  r.add(ApplyMask<float>::kName, "apply_mask_f32_avx512", Isa::avx512, &kApplyMask);
}

}  // namespace stair::kernels
