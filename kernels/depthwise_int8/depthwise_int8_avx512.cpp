// vpmaddwd on two rows of the window, widened to 16 bits, for machines without vpdpbusd.
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

constexpr int kRowsPerGroup = 2, kChunkVectors = 4, kPixels = 8, kPixelsOfTwo = 8;

[[gnu::always_inline]] inline __m512i dot(__m512i acc, __m512i x, __m512i w) {
  return _mm512_add_epi32(acc, _mm512_madd_epi16(x, w));
}

// 64 channels of two pixels.
template <int kUsed, bool kSigned>
[[gnu::always_inline]] inline void interleave_pixel(uint8_t* out, const uint8_t* const* pixels,
                                                    int64_t channels) {
  for (int64_t c = 0; c < channels; c += 16, out += 64) {
    const int64_t n = channels - c;
    const __mmask16 exist = static_cast<__mmask16>(n >= 16 ? 0xFFFF : 0xFFFF >> (16 - n));
    const __m128i a = _mm_maskz_loadu_epi8(exist, pixels[0] + c);
    const __m128i b = _mm_maskz_loadu_epi8(exist, pixels[1] + c);
    const __m256i pairs = _mm256_set_m128i(_mm_unpackhi_epi8(a, b), _mm_unpacklo_epi8(a, b));
    _mm512_store_si512(out, kSigned ? _mm512_cvtepi8_epi16(pairs) : _mm512_cvtepu8_epi16(pairs));
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

void register_depthwise_int8_avx512(Registry& r) {
  r.add(ConvInt8::kName, "conv_int8_s16_depthwise_avx512", Isa::avx512, &kConvInt8);
}

}  // namespace stair::kernels
