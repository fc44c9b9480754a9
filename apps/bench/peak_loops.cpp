#include "apps/bench/peak_loops.h"

#include <algorithm>

#include "core/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define STAIR_TARGET(isa) __attribute__((target(isa), optimize("O3")))
#endif

namespace stair::apps {
namespace {

// The loops' results go here, so that the compiler cannot leave them out.
volatile float sink_f32;
volatile int sink_s32;

#ifdef STAIR_TARGET
// Enough independent sums to hide the latency of a multiply-add in two units.
constexpr int kSums = 12;

STAIR_TARGET("avx2,fma") void fma_avx2(int64_t rounds) {
  __m256 sums[kSums];
  const __m256 a = _mm256_set1_ps(0.999F), b = _mm256_set1_ps(1e-3F);
  for (__m256& sum : sums) sum = b;
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int s = 0; s < kSums; ++s) sums[s] = _mm256_fmadd_ps(sums[s], a, b);
  }
  for (int s = 1; s < kSums; ++s) sums[0] = _mm256_add_ps(sums[0], sums[s]);
  sink_f32 = sums[0][0];
}

STAIR_TARGET("avx512f") void fma_avx512(int64_t rounds) {
  __m512 sums[kSums];
  const __m512 a = _mm512_set1_ps(0.999F), b = _mm512_set1_ps(1e-3F);
  for (__m512& sum : sums) sum = b;
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int s = 0; s < kSums; ++s) sums[s] = _mm512_fmadd_ps(sums[s], a, b);
  }
  for (int s = 1; s < kSums; ++s) sums[0] = _mm512_add_ps(sums[0], sums[s]);
  sink_f32 = sums[0][0];
}

STAIR_TARGET("avx2") void madd_avx2(int64_t rounds) {
  __m256i sums[kSums];
  const __m256i b = _mm256_set1_epi16(3);
  __m256i a = b;
  for (__m256i& sum : sums) sum = b;
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int s = 0; s < kSums; ++s) {
      asm volatile("" : "+x"(a));  // the product is not the same in every round
      sums[s] = _mm256_add_epi32(sums[s], _mm256_madd_epi16(a, b));
    }
  }
  for (int s = 1; s < kSums; ++s) sums[0] = _mm256_add_epi32(sums[0], sums[s]);
  sink_s32 = static_cast<int>(sums[0][0]);
}

STAIR_TARGET("avx512f,avx512vnni") void dpbusd_vnni(int64_t rounds) {
  __m512i sums[kSums];
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-2);
  for (__m512i& sum : sums) sum = b;
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int s = 0; s < kSums; ++s) sums[s] = _mm512_dpbusd_epi32(sums[s], a, b);
  }
  for (int s = 1; s < kSums; ++s) sums[0] = _mm512_add_epi32(sums[0], sums[s]);
  sink_s32 = static_cast<int>(sums[0][0]);
}

STAIR_TARGET("avx512f,avx512bf16") void dpbf16_avx512(int64_t rounds) {
  __m512 sums[kSums];
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5F), _mm512_set1_ps(0.25F)), b = a;
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int s = 0; s < kSums; ++s) sums[s] = _mm512_dpbf16_ps(sums[s], a, b);
  }
  for (int s = 1; s < kSums; ++s) sums[0] = _mm512_add_ps(sums[0], sums[s]);
  sink_f32 = sums[0][0];
}

// Palette 1: eight tiles of 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Two by two tiles of sums from two and two tiles of operands, all zero.
STAIR_TARGET("amx-tile,amx-int8") void int8_amx(int64_t rounds) {
  const TileConfig config;
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
  for (int64_t i = 0; i < rounds; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
}

STAIR_TARGET("amx-tile,amx-bf16") void bf16_amx(int64_t rounds) {
  const TileConfig config;
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
  for (int64_t i = 0; i < rounds; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}

STAIR_TARGET("avx2")
void triad_avx2(int64_t n, const float* b, const float* c, float* a) {
  for (int64_t i = 0; i < n; ++i) a[i] = b[i] + 3 * c[i];
}

bool has_bf16() {
  return __builtin_cpu_supports("avx512bf16") != 0;
}
#endif

void fma_ref(int64_t rounds) {
  float sums[16] = {};
  for (int64_t i = 0; i < rounds; ++i)
    for (float& sum : sums) sum = sum * 0.999F + 1e-3F;
  for (float sum : sums) sink_f32 = sum;
}

}  // namespace

std::vector<PeakLoop> peak_loops() {
  const Isa isa = active_isa();
  std::vector<PeakLoop> loops = {{"f32 multiply, add", PeakKind::f32, false, 2.0 * 16, fma_ref}};
#ifdef STAIR_TARGET
  if (isa >= Isa::avx2) {
    loops.push_back({"f32 fma avx2", PeakKind::f32, false, 2.0 * 8 * kSums, fma_avx2});
    loops.push_back({"s16 madd avx2", PeakKind::int8, true, 2.0 * 16 * kSums, madd_avx2});
  }
  if (isa >= Isa::avx512)
    loops.push_back({"f32 fma avx512", PeakKind::f32, false, 2.0 * 16 * kSums, fma_avx512});
  if (isa >= Isa::avx512 && has_bf16())
    loops.push_back(
        {"bf16 dpbf16ps avx512", PeakKind::bf16, false, 2.0 * 32 * kSums, dpbf16_avx512});
  if (isa >= Isa::vnni)
    loops.push_back({"int8 dpbusd avx512", PeakKind::int8, true, 2.0 * 64 * kSums, dpbusd_vnni});
  if (isa >= Isa::amx) {
    loops.push_back({"int8 amx", PeakKind::int8, true, 4 * 2.0 * 16 * 16 * 64, int8_amx});
    loops.push_back({"bf16 amx", PeakKind::bf16, false, 4 * 2.0 * 16 * 16 * 32, bf16_amx});
  }
#endif
  return loops;
}

void triad(int64_t n, const float* b, const float* c, float* a) {
#ifdef STAIR_TARGET
  if (active_isa() >= Isa::avx2) return triad_avx2(n, b, c, a);
#endif
  for (int64_t i = 0; i < n; ++i) a[i] = b[i] + 3 * c[i];
}

}  // namespace stair::apps
