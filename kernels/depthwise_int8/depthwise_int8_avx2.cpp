// vpmaddwd on two rows of the window, widened to 16 bits: exact.
#include <immintrin.h>

#include "kernels/depthwise_int8/depthwise.h"

namespace stair::kernels {
namespace {

// clang-format off
#include "kernels/conv_int8/vector_avx2.inc"
#include "kernels/conv_int8/epilogue.inc"
#include "kernels/conv_int8/unrolled.inc"
#include "kernels/conv_int8/narrow.inc"
#include "kernels/conv_int8/gathered.inc"
// clang-format on

constexpr int kRowsPerGroup = 2, kChunkVectors = 4, kPixels = 6, kPixelsOfTwo = 4;

[[gnu::always_inline]] inline __m256i dot(__m256i acc, __m256i x, __m256i w) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
}

// The first n of eight codes, zero behind them.
[[gnu::always_inline]] inline __m128i load_eight(const uint8_t* p, int64_t n) {
  if (n >= 8) return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  int64_t eight = 0;
  for (int64_t i = 0; i < n; ++i) eight |= static_cast<int64_t>(p[i]) << (8 * i);
  return _mm_cvtsi64_si128(eight);
}

// 32 channels of two pixels.
template <int kUsed, bool kSigned>
[[gnu::always_inline]] inline void interleave_pixel(uint8_t* out, const uint8_t* const* pixels,
                                                    int64_t channels) {
  for (int64_t c = 0; c < channels; c += 8, out += 32) {
    const __m128i pairs = _mm_unpacklo_epi8(load_eight(pixels[0] + c, channels - c),
                                            load_eight(pixels[1] + c, channels - c));
    _mm256_store_si256(reinterpret_cast<__m256i*>(out),
                       kSigned ? _mm256_cvtepi8_epi16(pairs) : _mm256_cvtepu8_epi16(pairs));
  }
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

void register_depthwise_int8_avx2(Registry& r) {
  r.add(ConvInt8::kName, "conv_int8_s16_depthwise_avx2", Isa::avx2, &kConvInt8);
}

}  // namespace stair::kernels
