#include <immintrin.h>

#include "core/parallel.h"
#include "kernels/quantize/quantize.h"

namespace stair::kernels {
namespace {

struct Lanes {
  using F = __m256;
  using I = __m256i;
  using K = __m256i;  // all bits of a lane
  static constexpr int64_t kLanes = 8;

  [[gnu::always_inline]] static K first(int64_t n) {
    return _mm256_cmpgt_epi32(broadcast(static_cast<int32_t>(n)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  [[gnu::always_inline]] static uint32_t bits(K k) {
    return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(k)));
  }
  [[gnu::always_inline]] static K both(K a, K b) { return _mm256_and_si256(a, b); }
  [[gnu::always_inline]] static K flags(const uint8_t* bits) {
    const I lane_bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_cmpeq_epi32(_mm256_and_si256(broadcast(int32_t{*bits}), lane_bit), lane_bit);
  }
  [[gnu::always_inline]] static F keep(F v, K k) {
    return _mm256_and_ps(v, _mm256_castsi256_ps(k));
  }

  [[gnu::always_inline]] static F zero() { return _mm256_setzero_ps(); }
  [[gnu::always_inline]] static F broadcast(float v) { return _mm256_set1_ps(v); }
  [[gnu::always_inline]] static I broadcast(int32_t v) { return _mm256_set1_epi32(v); }
  [[gnu::always_inline]] static F load(const float* p) { return _mm256_loadu_ps(p); }
  [[gnu::always_inline]] static F load(const float* p, K k) { return _mm256_maskload_ps(p, k); }
  [[gnu::always_inline]] static I load(const int32_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  [[gnu::always_inline]] static I load(const int32_t* p, K k) {
    return _mm256_maskload_epi32(p, k);
  }
  [[gnu::always_inline]] static void store(float* p, F v) { _mm256_storeu_ps(p, v); }
  [[gnu::always_inline]] static void store(float* p, F v, K k) { _mm256_maskstore_ps(p, k, v); }
  // The low bytes of v.
  [[gnu::always_inline]] static uint64_t low_bytes(I v) {
    const __m256i pick = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
    const __m256i halves = _mm256_shuffle_epi8(v, pick);
    const __m128i joined =
        _mm_unpacklo_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
    return static_cast<uint64_t>(_mm_cvtsi128_si64(joined));
  }
  [[gnu::always_inline]] static void store(uint8_t* p, I v) {
    const uint64_t bytes = low_bytes(v);
    __builtin_memcpy(p, &bytes, 8);
  }
  [[gnu::always_inline]] static void store(uint8_t* p, I v, int64_t n) {
    const uint64_t bytes = low_bytes(v);
    __builtin_memcpy(p, &bytes, static_cast<size_t>(n));
  }
  [[gnu::always_inline]] static I widen(const uint8_t* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  [[gnu::always_inline]] static I widen(const int8_t* p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }

  [[gnu::always_inline]] static I add(I a, I b) { return _mm256_add_epi32(a, b); }
  [[gnu::always_inline]] static I sub(I a, I b) { return _mm256_sub_epi32(a, b); }
  [[gnu::always_inline]] static F to_float(I v) { return _mm256_cvtepi32_ps(v); }
  [[gnu::always_inline]] static I to_int(F v) { return _mm256_cvtps_epi32(v); }
  [[gnu::always_inline]] static K number(F v) {
    return _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_ORD_Q));
  }
  // Nearest integers, ties to even; 0 outside k.
  [[gnu::always_inline]] static F round(F v, K k) {
    return keep(_mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), k);
  }
  [[gnu::always_inline]] static F clamp(F v, F low, F high) {
    return _mm256_min_ps(_mm256_max_ps(v, low), high);
  }
  // Comparisons within k.
  [[gnu::always_inline]] static K equal(F a, F b, K k) {
    return both(_mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)), k);
  }
  [[gnu::always_inline]] static K positive(F v, K k) {
    return both(_mm256_castps_si256(_mm256_cmp_ps(v, zero(), _CMP_GT_OQ)), k);
  }
};

#include "kernels/quantize/quantize_simd.inc"

}  // namespace

void register_quantize_avx2(Registry& r) {
  r.add(Quantize<float>::kName, "quantize_f32_avx2", Isa::avx2, &kQuantize);
  r.add(Dequantize<float>::kName, "dequantize_f32_avx2", Isa::avx2, &kDequantize);
  r.add(ApplyMask<float>::kName, "apply_mask_f32_avx2", Isa::avx2, &kApplyMask);
}

}  // namespace stair::kernels
