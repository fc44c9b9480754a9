// vdpbf16ps on tiles of 12 rows x 32 columns.
#include "kernels/conv/winograd.h"
#include "kernels/conv_bf16/bf16_gemm.h"
#include "kernels/conv_int8/intrinsics_avx512.h"

namespace stair::kernels {
namespace {

#include "kernels/conv_bf16/bf16_pack.inc"

// Depth that is summed in one go. Longer sums are put together from such parts, which bounds the
// rounding error.
constexpr int64_t kSumDepth = 2048;

template <int R, int NB>
struct Tile {
  __m512 v[R][NB];

  [[gnu::always_inline]] void clear() {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int j = 0; j < NB; ++j) v[r][j] = _mm512_setzero_ps();
  }

  [[gnu::always_inline]] void multiply(const uint16_t* a, int64_t a_row, const uint16_t* b,
                                       int64_t depth) {
    // The rows in threes: each address is a base and a multiple of one distance.
    const uint16_t* base[(R + 2) / 3];
#pragma GCC unroll 8
    for (int g = 0; g < (R + 2) / 3; ++g) base[g] = a + 3 * g * a_row;
    for (int64_t d = 0; d < depth; d += 2, b += 2 * kBf16Columns) {
      __m512bh bv[NB];
#pragma GCC unroll 2
      for (int j = 0; j < NB; ++j) bv[j] = (__m512bh)_mm512_loadu_si512(b + 32 * j);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        int32_t pair;
        __builtin_memcpy(&pair, base[r / 3] + r % 3 * a_row + d, 4);
        const __m512bh av = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 2
        for (int j = 0; j < NB; ++j) v[r][j] = _mm512_dpbf16_ps(v[r][j], av, bv[j]);
      }
    }
  }

  [[gnu::always_inline]] void store(float* sums, int64_t sums_row, int64_t rows, bool add) const {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      if (r >= rows) break;
      float* to = sums + r * sums_row;
#pragma GCC unroll 2
      for (int j = 0; j < NB; ++j)
        _mm512_storeu_ps(to + 16 * j,
                         add ? _mm512_add_ps(v[r][j], _mm512_loadu_ps(to + 16 * j)) : v[r][j]);
    }
  }
};

template <int R, int NB>
void multiply_rows(const Bf16Product& t) {
  for (int64_t row = 0; row < t.rows; row += R) {
    Tile<R, NB> tile;
    tile.clear();
    float* sums = t.sums + row * t.sums_row;
    bool add = t.add;
    int64_t length = 0;
    for (int64_t i = 0; i < t.count; ++i)
      for (int64_t d = 0; d < t.depth; d += kSumDepth) {
        const int64_t depth = t.depth - d < kSumDepth ? t.depth - d : kSumDepth;
        if (length + depth > kSumDepth) {
          tile.store(sums, t.sums_row, t.rows - row, add);
          tile.clear();
          add = true;
          length = 0;
        }
        tile.multiply(t.parts[i].a + row * t.a_row + d, t.a_row, t.parts[i].b + d * kBf16Columns,
                      depth);
        length += depth;
      }
    tile.store(sums, t.sums_row, t.rows - row, add);
  }
}

constexpr int kRows = 12;

void multiply(const Bf16Product& t) {
  t.columns > 16 ? multiply_rows<kRows, 2>(t) : multiply_rows<kRows, 1>(t);
}

constexpr Bf16Unit kUnit{.depth = 2,
                         .rows = kRows,
                         .pixels = 512,
                         .cache = 512 << 10,
                         .multiply = multiply,
                         .split_pixels = split_pixels,
                         .pair_pixels = pair_pixels,
                         .code_planes = code_planes,
                         .pack_weights = pack_weights,
                         .store_pixels = store_pixels,
                         .store_weights = store_weights};

// Twice the rate of f32 is used up by a second term, and by what Winograd saves.
template <class Args>
bool pays(const Args& a) {
  return a.terms == 1 && !a.s.depthwise() && !winograd_pays(a.s);
}

constexpr ConvBf16BackwardData::Impl kBackwardData{
    [](const ConvBf16BackwardData::Args& a) { bf16_backward_data(a, kUnit); }, pays};
constexpr ConvBf16BackwardWeights::Impl kBackwardWeights{
    [](const ConvBf16BackwardWeights::Args& a) { bf16_backward_weights(a, kUnit); }, pays};

}  // namespace

void register_conv_bf16_avx512bf16(Registry& r) {
  if (!fast_bf16_dot()) return;
  r.add(ConvBf16BackwardData::kName, "conv_bf16_backward_data_dot_avx512bf16", Isa::vnni,
        &kBackwardData);
  r.add(ConvBf16BackwardWeights::kName, "conv_bf16_backward_weights_dot_avx512bf16", Isa::vnni,
        &kBackwardWeights);
}

}  // namespace stair::kernels
