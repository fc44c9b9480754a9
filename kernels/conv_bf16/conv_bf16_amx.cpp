// tdpbf16ps on 2 x 2 tiles: 32 rows x 32 columns, a depth of 32 at a time.
#include "kernels/conv_bf16/bf16_gemm.h"
#include "kernels/conv_int8/intrinsics_avx512.h"

#ifndef STAIR_AMX_TILES
#define STAIR_AMX_TILES "kernels/conv_int8/amx_tiles.inc"
#endif

namespace stair::kernels {
namespace {

// clang-format off
#include STAIR_AMX_TILES
#include "kernels/conv_bf16/bf16_pack.inc"
// clang-format on

constexpr int64_t kTileRows = 16, kTileBytes = 64, kRows = 2 * kTileRows, kDepth = 32;
constexpr int64_t kPanelRowBytes = 2 * 2 * kBf16Columns, kSumBytes = 4 * kBf16Columns;
// Depth that is summed in one go. Longer sums are put together from such parts, which bounds the
// rounding error.
constexpr int64_t kSumDepth = 4096;

// Tiles: 0 to 3 sums (upper rows left and right, lower rows left and right), 4 and 5 A, 6 and 7 the
// panel.
void configure() {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) {
    config.rows[tile] = kTileRows;
    config.row_bytes[tile] = kTileBytes;
  }
  tile_configure(config);
}

// The sums of up to 32 rows; kLower: of more than 16, kRight: of more than 16 columns.
template <bool kLower, bool kRight>
struct SumTiles {
  [[gnu::always_inline]] static void clear() {
    tile_zero<0>();
    if constexpr (kRight) tile_zero<1>();
    if constexpr (kLower) tile_zero<2>();
    if constexpr (kLower && kRight) tile_zero<3>();
  }

  [[gnu::always_inline]] static void multiply(const uint16_t* a, int64_t a_row, const uint16_t* b,
                                              int64_t depth) {
    const uint16_t* lower = a + kTileRows * a_row;
    for (int64_t d = 0; d < depth; d += kDepth, b += kDepth * kBf16Columns) {
      tile_load<4>(a + d, 2 * a_row);
      tile_load<6>(b, kPanelRowBytes);
      tile_dpbf16ps<0, 4, 6>();
      if constexpr (kRight) {
        tile_load<7>(b + kBf16Columns, kPanelRowBytes);
        tile_dpbf16ps<1, 4, 7>();
      }
      if constexpr (kLower) {
        tile_load<5>(lower + d, 2 * a_row);
        tile_dpbf16ps<2, 5, 6>();
        if constexpr (kRight) tile_dpbf16ps<3, 5, 7>();
      }
    }
  }

  [[gnu::always_inline]] static void store(const Bf16Product& t, int64_t row, bool add) {
    alignas(64) float local[kRows * kBf16Columns];
    tile_store<0>(local, kSumBytes);
    if constexpr (kRight) tile_store<1>(local + 16, kSumBytes);
    if constexpr (kLower) tile_store<2>(local + kTileRows * kBf16Columns, kSumBytes);
    if constexpr (kLower && kRight) tile_store<3>(local + kTileRows * kBf16Columns + 16, kSumBytes);
    const int64_t rows = t.rows - row < kRows ? t.rows - row : kRows;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < (kRight ? 32 : 16); c += 16) {
        float* to = t.sums + (row + r) * t.sums_row + c;
        const __m512 sum = _mm512_load_ps(local + r * kBf16Columns + c);
        _mm512_storeu_ps(to, add ? _mm512_add_ps(sum, _mm512_loadu_ps(to)) : sum);
      }
  }

  static void run(const Bf16Product& t, int64_t row) {
    clear();
    bool add = t.add;
    int64_t length = 0;
    for (int64_t i = 0; i < t.count; ++i)
      for (int64_t d = 0; d < t.depth; d += kSumDepth) {
        const int64_t depth = t.depth - d < kSumDepth ? t.depth - d : kSumDepth;
        if (length + depth > kSumDepth) {
          store(t, row, add);
          clear();
          add = true;
          length = 0;
        }
        multiply(t.parts[i].a + row * t.a_row + d, t.a_row, t.parts[i].b + d * kBf16Columns, depth);
        length += depth;
      }
    store(t, row, add);
  }
};

void multiply(const Bf16Product& t) {
  configure();
  const bool right = t.columns > 16;
  for (int64_t row = 0; row < t.rows; row += kRows)
    if (t.rows - row > kTileRows)
      right ? SumTiles<true, true>::run(t, row) : SumTiles<true, false>::run(t, row);
    else
      right ? SumTiles<false, true>::run(t, row) : SumTiles<false, false>::run(t, row);
  tile_release();
}

constexpr Bf16Unit kUnit{.depth = kDepth,
                         .rows = kRows,
                         .pixels = 512,
                         .cache = 1 << 20,
                         .multiply = multiply,
                         .split_pixels = split_pixels,
                         .pair_pixels = pair_pixels,
                         .code_planes = code_planes,
                         .pack_weights = pack_weights,
                         .store_pixels = store_pixels,
                         .store_weights = store_weights};

template <class Args>
bool supports(const Args& a) {
  return !a.s.depthwise();
}

constexpr ConvBf16BackwardData::Impl kBackwardData{
    [](const ConvBf16BackwardData::Args& a) { bf16_backward_data(a, kUnit); }, supports};
constexpr ConvBf16BackwardWeights::Impl kBackwardWeights{
    [](const ConvBf16BackwardWeights::Args& a) { bf16_backward_weights(a, kUnit); }, supports};

}  // namespace

void register_conv_bf16_amx(Registry& r) {
  r.add(ConvBf16BackwardData::kName, "conv_bf16_backward_data_tiles_amx", Isa::amx, &kBackwardData);
  r.add(ConvBf16BackwardWeights::kName, "conv_bf16_backward_weights_tiles_amx", Isa::amx,
        &kBackwardWeights);
}

}  // namespace stair::kernels
