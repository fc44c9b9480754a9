// vpmaddwd on codes and weights widened to 16 bits, which holds every product and sum of two
// exactly (vpmaddubsw would saturate).
#include <immintrin.h>

#include "kernels/conv_int8/int8_gemm.h"

namespace stair::kernels {
namespace {

// clang-format off
#include "kernels/conv_int8/vector_avx2.inc"
#include "kernels/conv_int8/copy_words_avx2.inc"
#include "kernels/conv_int8/gather.inc"
#include "kernels/conv_int8/unpack.inc"
#include "kernels/conv_int8/epilogue.inc"
#include "kernels/conv_int8/unrolled.inc"
#include "kernels/conv_int8/narrow.inc"
#include "kernels/conv_int8/gathered.inc"
// clang-format on

constexpr int kRowBlock = 6, kPanelVectors = 2;

[[gnu::always_inline]] inline __m256i dot(__m256i acc, __m256i x, __m256i w) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
}

#include "kernels/conv_int8/gemm_tile.inc"

constexpr GemmKernel kGemm{.panel_cols = kPanelVectors * Vector::kLanes,
                           .element_bytes = kElementBytes,
                           .step_multiple = 1,
                           .row_block = kRowBlock,
                           .gather = gather_rows,
                           .unpack = unpack_panel,
                           .panel = multiply_panel};

constexpr ConvInt8::Impl kConvInt8{
    [](const ConvInt8::Args& args) { return gemm_bind(kGemm, args); }, gemm_supports,
    [](const ConvInt8::Args& args) { return gemm_packed_bytes(kGemm, args); },
    [](const ConvInt8::Args& args, void* packed) { gemm_pack(kGemm, args, packed); }};

}  // namespace

void register_conv_int8_avx2(Registry& r) {
  r.add(ConvInt8::kName, "conv_int8_s16_igemm_avx2", Isa::avx2, &kConvInt8);
}

}  // namespace stair::kernels
