// Eight floats in an AVX2 register, under the names that the kernel templates use. Only for files
// named *_avx2.cpp; everything lives in an anonymous namespace, so that no code for this
// instruction set leaks into other objects.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace stair::kernels {
namespace {

struct Vec {
  using Reg = __m256;
  using Mask = __m256i;
  using Ints = __m256i;
  static constexpr int kLanes = 8;

  // The first `count` lanes, count <= 8.
  [[gnu::always_inline]] static Mask mask(int64_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  [[gnu::always_inline]] static Reg zero() { return _mm256_setzero_ps(); }
  [[gnu::always_inline]] static Reg broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  [[gnu::always_inline]] static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  [[gnu::always_inline]] static Reg load(const float* p, Mask m) {
    return _mm256_maskload_ps(p, m);
  }
  // The first `count` codes as floats, count <= 8: (code ^ flip) - zero.
  [[gnu::always_inline]] static Reg codes(const uint8_t* p, int64_t count, Ints flip, Ints zero) {
    uint64_t bytes = 0;
    if (count == kLanes)
      __builtin_memcpy(&bytes, p, kLanes);
    else
      __builtin_memcpy(&bytes, p, static_cast<size_t>(count));
    const __m256i code = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(bytes)));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_xor_si256(code, flip), zero));
  }
  [[gnu::always_inline]] static Ints broadcast(int32_t v) { return _mm256_set1_epi32(v); }
  [[gnu::always_inline]] static void store(float* p, Reg v) { _mm256_storeu_ps(p, v); }
  // Past the caches; p is a multiple of the vector.
  [[gnu::always_inline]] static void stream(float* p, Reg v) { _mm256_stream_ps(p, v); }
  [[gnu::always_inline]] static void store(float* p, Reg v, Mask m) {
    _mm256_maskstore_ps(p, m, v);
  }
  [[gnu::always_inline]] static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  [[gnu::always_inline]] static Reg sub(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
  [[gnu::always_inline]] static Reg mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  // The lesser or greater one; b where one is NaN.
  [[gnu::always_inline]] static Reg min(Reg a, Reg b) { return _mm256_min_ps(a, b); }
  [[gnu::always_inline]] static Reg max(Reg a, Reg b) { return _mm256_max_ps(a, b); }
  // v where low <= y <= high, else 0.
  [[gnu::always_inline]] static Reg between(Reg y, Reg low, Reg high, Reg v) {
    return _mm256_and_ps(
        v, _mm256_and_ps(_mm256_cmp_ps(y, low, _CMP_GE_OQ), _mm256_cmp_ps(y, high, _CMP_LE_OQ)));
  }
  // a * b + c, rounded once.
  [[gnu::always_inline]] static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
};

}  // namespace
}  // namespace stair::kernels
