// vpdpbusd on four rows of the window. Signed codes are stored plus 128, which the zero point takes
// back.
#include "kernels/conv_int8/intrinsics_avx512.h"
#include "kernels/depthwise_int8/depthwise.h"

namespace stair::kernels {
namespace {

// clang-format off
#include "kernels/conv_int8/vector_avx512.inc"
#include "kernels/conv_int8/epilogue.inc"
#include "kernels/conv_int8/unrolled.inc"
#include "kernels/conv_int8/narrow.inc"
#include "kernels/conv_int8/gathered.inc"
// clang-format on

constexpr int kRowsPerGroup = 4, kChunkVectors = 4, kPixels = 8, kPixelsOfTwo = 8;

[[gnu::always_inline]] inline __m512i dot(__m512i acc, __m512i x, __m512i w) {
  return _mm512_dpbusd_epi32(acc, x, w);
}

// 64 channels of four pixels. The unpack instructions work within 16-byte lanes, so the four-byte
// pieces of the channels are transposed first; then every stored vector holds 16 channels in order.
template <int kUsed, bool kSigned>
[[gnu::always_inline]] inline void interleave_pixel(uint8_t* out, const uint8_t* const* pixels,
                                                    int64_t channels) {
  const __mmask64 exist = channels >= 64 ? ~0ULL : ~0ULL >> (64 - channels);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i flip = _mm512_set1_epi8(-128);
  __m512i row[4];
#pragma GCC unroll 4
  for (int r = 0; r < kUsed; ++r) {
    const __m512i codes = _mm512_maskz_loadu_epi8(exist, pixels[r]);
    row[r] = _mm512_permutexvar_epi32(order, kSigned ? _mm512_xor_si512(codes, flip) : codes);
  }
  if constexpr (kUsed == 3) row[3] = row[2];
  const __m512i low01 = _mm512_unpacklo_epi8(row[0], row[1]);
  const __m512i high01 = _mm512_unpackhi_epi8(row[0], row[1]);
  const __m512i low23 = _mm512_unpacklo_epi8(row[2], row[3]);
  const __m512i high23 = _mm512_unpackhi_epi8(row[2], row[3]);
  _mm512_store_si512(out, _mm512_unpacklo_epi16(low01, low23));
  _mm512_store_si512(out + 64, _mm512_unpackhi_epi16(low01, low23));
  _mm512_store_si512(out + 128, _mm512_unpacklo_epi16(high01, high23));
  _mm512_store_si512(out + 192, _mm512_unpackhi_epi16(high01, high23));
}

// clang-format off
#include "kernels/depthwise_int8/interleave.inc"
#include "kernels/depthwise_int8/depthwise_row.inc"
// clang-format on

constexpr DepthwiseKernel kDepthwise{.lanes = Vector::kLanes,
                                     .chunk_vectors = kChunkVectors,
                                     .rows_per_group = kRowsPerGroup,
                                     .interleave = interleave,
                                     .row = depthwise_row};

constexpr ConvInt8::Impl kConvInt8{
    [](const ConvInt8::Args& args) { return depthwise_bind(kDepthwise, args); }, depthwise_supports,
    [](const ConvInt8::Args& args) { return depthwise_packed_bytes(kDepthwise, args.s); },
    [](const ConvInt8::Args& args, void* packed) { depthwise_pack(kDepthwise, args, packed); }};

}  // namespace

void register_depthwise_int8_vnni(Registry& r) {
  r.add(ConvInt8::kName, "conv_int8_u8s8_depthwise_vnni", Isa::vnni, &kConvInt8);
}

}  // namespace stair::kernels
