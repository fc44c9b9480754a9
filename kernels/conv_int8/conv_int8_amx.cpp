// tdpbusd on 2 x 2 tiles: 32 rows x 32 channels, 64 bytes of K at a time. Signed codes are stored
// plus 128, which the zero point takes back.
#include "kernels/conv_int8/int8_gemm.h"
#include "kernels/conv_int8/intrinsics_avx512.h"

#ifndef STAIR_AMX_TILES
#define STAIR_AMX_TILES "kernels/conv_int8/amx_tiles.inc"
#endif

namespace stair::kernels {
namespace {

// clang-format off
#include STAIR_AMX_TILES
#include "kernels/conv_int8/vector_avx512.inc"
#include "kernels/conv_int8/copy_avx512.inc"
#include "kernels/conv_int8/gather.inc"
#include "kernels/conv_int8/unpack.inc"
#include "kernels/conv_int8/epilogue.inc"
#include "kernels/conv_int8/unrolled.inc"
#include "kernels/conv_int8/narrow.inc"
#include "kernels/conv_int8/gathered.inc"
// clang-format on

constexpr int64_t kTileRows = 16, kTileBytes = 64, kRowBlock = 2 * kTileRows, kPanelCols = 32;
constexpr int64_t kPanelStepBytes = kPanelCols * 4, kSumBytes = kPanelCols * 4;

// Tiles: 0 to 3 sums (upper rows left and right, lower rows left and right), 4 and 5 A, 6 and 7 the
// panel.
void configure(int64_t rows) {
  TileConfig config;
  const int64_t upper = rows < kTileRows ? rows : kTileRows, lower = rows - upper;
  for (int tile : {0, 1, 4}) config.rows[tile] = static_cast<uint8_t>(upper);
  for (int tile : {2, 3, 5}) config.rows[tile] = static_cast<uint8_t>(lower);
  config.rows[6] = config.rows[7] = kTileRows;
  for (int tile = 0; tile < 8; ++tile)
    config.row_bytes[tile] = config.rows[tile] > 0 ? kTileBytes : 0;
  tile_configure(config);
}

// Sums of up to 32 rows from `a`; kLower: more than 16, kRight: the panel has more than 16
// channels.
template <bool kLower, bool kRight>
void multiply_block(const PanelTask& t, const uint8_t* a, int32_t* sums) {
  const uint8_t* lower = a + kTileRows * t.a_stride;
  tile_zero<0>();
  if constexpr (kRight) tile_zero<1>();
  if constexpr (kLower) tile_zero<2>();
  if constexpr (kLower && kRight) tile_zero<3>();
  for (int64_t run = 0; run < t.runs; ++run, a += t.a_run, lower += t.a_run) {
    const uint8_t* w = t.w + run * t.w_run;
    for (int64_t step = 0; step < t.steps; step += kTileRows, w += kTileRows * kPanelStepBytes) {
      tile_load<4>(a + 4 * step, t.a_stride);
      tile_load<6>(w, kPanelStepBytes);
      tile_dpbusd<0, 4, 6>();
      if constexpr (kRight) {
        tile_load<7>(w + kTileBytes, kPanelStepBytes);
        tile_dpbusd<1, 4, 7>();
      }
      if constexpr (kLower) {
        tile_load<5>(lower + 4 * step, t.a_stride);
        tile_dpbusd<2, 5, 6>();
        if constexpr (kRight) tile_dpbusd<3, 5, 7>();
      }
    }
  }
  tile_store<0>(sums, kSumBytes);
  if constexpr (kRight) tile_store<1>(sums + 16, kSumBytes);
  if constexpr (kLower) tile_store<2>(sums + kTileRows * kPanelCols, kSumBytes);
  if constexpr (kLower && kRight) tile_store<3>(sums + kTileRows * kPanelCols + 16, kSumBytes);
}

template <TileOutput kOutput>
void finish_block(const PanelTask& t, int64_t first_row, int64_t rows, const int32_t* sums) {
  for (int64_t col = 0; col < t.cols; col += Vector::kLanes) {
    const Vector::Int offset = Vector::load(t.channels.offset + col);
    const Vector::Float multiplier = Vector::load(t.channels.multiplier + col);
    const Vector::Float bias = Vector::load(t.channels.bias + col);
    const auto accumulator = [&](int64_t row) {
      const Vector::Int acc = Vector::add(Vector::load(sums + row * kPanelCols + col), offset);
      if (!t.row_sums) return acc;
      return Vector::sub(acc, Vector::mul(Vector::load(t.channels.w_zero_point + col),
                                          Vector::splat(t.row_sums[first_row + row])));
    };
    if constexpr (kOutput == TileOutput::moments) {
      Gathered moments(t.moments, t.moments.fresh && first_row == 0, col,
                       real_of(accumulator(0), multiplier, bias));
      for (int64_t row = 0; row < rows; ++row) {
        const Vector::Float y = real_of(accumulator(row), multiplier, bias);
        store_real(t, t.at[first_row + row] + col, col, y);
        moments.add(y);
      }
      moments.store();
      continue;
    }
    for (int64_t row = 0; row < rows; ++row)
      finish<kOutput>(t, t.at[first_row + row] + col, col, accumulator(row), multiplier, bias);
  }
}

// kRows rows of narrow codes.
template <int kRows, int kVectors>
void finish_rows(const PanelTask& t, const int64_t* at, const int32_t* row_sums,
                 const int32_t* sums) {
  const auto steps = [&](auto i) __attribute__((always_inline)) {
    constexpr int64_t kRow = decltype(i)::value / kVectors,
                      kCol = decltype(i)::value % kVectors * Vector::kLanes;
    Vector::Int acc = Vector::add(Vector::load(sums + kRow * kPanelCols + kCol),
                                  Vector::load(t.channels.offset + kCol));
    if (row_sums)
      acc = Vector::sub(acc, Vector::mul(Vector::load(t.channels.w_zero_point + kCol),
                                         Vector::splat(row_sums[kRow])));
    return narrow_steps(*t.epilogue, acc, Vector::load(t.channels.multiplier + kCol),
                        Vector::load(t.channels.bias + kCol));
  };
  finish_narrow<kRows * kVectors>(
      t, steps,
      [&](auto i) __attribute__((always_inline)) {
        return at[i.value / kVectors] + i.value % kVectors * Vector::kLanes;
      },
      [&](auto i) __attribute__((always_inline)) { return i.value % kVectors * Vector::kLanes; });
}

template <int kVectors>
void finish_narrow_block(const PanelTask& t, int64_t first_row, int64_t rows, const int32_t* sums) {
  const int64_t* at = t.at + first_row;
  const int32_t* row_sums = t.row_sums ? t.row_sums + first_row : nullptr;
  const auto from = [&](int64_t row) { return row_sums ? row_sums + row : nullptr; };
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4)
    finish_rows<4, kVectors>(t, at + row, from(row), sums + row * kPanelCols);
  for (; row < rows; ++row)
    finish_rows<1, kVectors>(t, at + row, from(row), sums + row * kPanelCols);
}

template <TileOutput kOutput>
void panel_as(const PanelTask& t) {
  alignas(64) int32_t sums[kRowBlock * kPanelCols];
  int64_t configured = 0;
  for (int64_t row = 0; row < t.rows; row += kRowBlock) {
    const int64_t rows = t.rows - row < kRowBlock ? t.rows - row : kRowBlock;
    if (rows != configured) configure(configured = rows);
    const uint8_t* a = t.a + row * t.a_stride;
    const bool right = t.cols > 16;
    if (rows > kTileRows)
      right ? multiply_block<true, true>(t, a, sums) : multiply_block<true, false>(t, a, sums);
    else
      right ? multiply_block<false, true>(t, a, sums) : multiply_block<false, false>(t, a, sums);
    if constexpr (kOutput == TileOutput::narrow)
      right ? finish_narrow_block<2>(t, row, rows, sums)
            : finish_narrow_block<1>(t, row, rows, sums);
    else
      finish_block<kOutput>(t, row, rows, sums);
  }
  tile_release();
  settle<kOutput>(t);
}

void multiply_panel(const PanelTask& t) {
  switch (t.epilogue->output) {
    case TileOutput::acc:
      return panel_as<TileOutput::acc>(t);
    case TileOutput::real:
      return panel_as<TileOutput::real>(t);
    case TileOutput::moments:
      return panel_as<TileOutput::moments>(t);
    case TileOutput::code:
      return panel_as<TileOutput::code>(t);
    case TileOutput::narrow:
      return panel_as<TileOutput::narrow>(t);
    case TileOutput::residual:
      return panel_as<TileOutput::residual>(t);
  }
}

constexpr GemmKernel kGemm{.panel_cols = kPanelCols,
                           .element_bytes = kElementBytes,
                           .step_multiple = kTileRows,
                           .row_block = kRowBlock,
                           .gather = gather_rows,
                           .unpack = unpack_panel,
                           .panel = multiply_panel};

constexpr ConvInt8::Impl kConvInt8{
    [](const ConvInt8::Args& args) { return gemm_bind(kGemm, args); }, gemm_supports,
    [](const ConvInt8::Args& args) { return gemm_packed_bytes(kGemm, args); },
    [](const ConvInt8::Args& args, void* packed) { gemm_pack(kGemm, args, packed); }};

}  // namespace

void register_conv_int8_amx(Registry& r) {
  r.add(ConvInt8::kName, "conv_int8_u8s8_igemm_amx", Isa::amx, &kConvInt8);
}

}  // namespace stair::kernels
