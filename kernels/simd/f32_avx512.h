// Sixteen floats in an AVX-512 register, under the names that the kernel templates use. Only for
// files named *_avx512.cpp; everything lives in an anonymous namespace, so that no code for this
// instruction set leaks into other objects.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace stair::kernels {
namespace {

struct Vec {
  using Reg = __m512;
  using Mask = __mmask16;
  using Ints = __m512i;
  static constexpr int kLanes = 16;

  // The first `count` lanes, count <= 16.
  [[gnu::always_inline]] static Mask mask(int64_t count) {
    return static_cast<Mask>((1U << count) - 1);
  }
  [[gnu::always_inline]] static Reg zero() { return _mm512_setzero_ps(); }
  [[gnu::always_inline]] static Reg broadcast(const float* p) { return _mm512_set1_ps(*p); }
  [[gnu::always_inline]] static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  [[gnu::always_inline]] static Reg load(const float* p, Mask m) {
    return _mm512_maskz_loadu_ps(m, p);
  }
  // The first `count` codes as floats, count <= 16: (code ^ flip) - zero.
  [[gnu::always_inline]] static Reg codes(const uint8_t* p, int64_t count, Ints flip, Ints zero) {
    // GCC warns of the unmasked conversions' undefined operand.
    constexpr Mask kAll = 0xFFFF;
    const Ints code = _mm512_maskz_cvtepu8_epi32(kAll, _mm_maskz_loadu_epi8(mask(count), p));
    return _mm512_maskz_cvtepi32_ps(kAll, _mm512_sub_epi32(_mm512_xor_si512(code, flip), zero));
  }
  [[gnu::always_inline]] static Ints broadcast(int32_t v) { return _mm512_set1_epi32(v); }
  [[gnu::always_inline]] static void store(float* p, Reg v) { _mm512_storeu_ps(p, v); }
  // Past the caches; p is a multiple of the vector.
  [[gnu::always_inline]] static void stream(float* p, Reg v) { _mm512_stream_ps(p, v); }
  [[gnu::always_inline]] static void store(float* p, Reg v, Mask m) {
    _mm512_mask_storeu_ps(p, m, v);
  }
  [[gnu::always_inline]] static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  [[gnu::always_inline]] static Reg sub(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
  [[gnu::always_inline]] static Reg mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  // The lesser or greater one; b where one is NaN.
  [[gnu::always_inline]] static Reg min(Reg a, Reg b) { return a < b ? a : b; }
  [[gnu::always_inline]] static Reg max(Reg a, Reg b) { return a > b ? a : b; }
  // v where low <= y <= high, else 0.
  [[gnu::always_inline]] static Reg between(Reg y, Reg low, Reg high, Reg v) {
    const Mask above = _mm512_cmp_ps_mask(y, low, _CMP_GE_OQ);
    return _mm512_maskz_mov_ps(_mm512_mask_cmp_ps_mask(above, y, high, _CMP_LE_OQ), v);
  }
  // a * b + c, rounded once.
  [[gnu::always_inline]] static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
};

}  // namespace
}  // namespace stair::kernels
