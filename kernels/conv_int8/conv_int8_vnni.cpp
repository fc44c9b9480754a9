// vpdpbusd: u8 x s8, four products a lane, exact. Signed codes are stored plus 128, which the zero
// point takes back.
#include "kernels/conv_int8/int8_gemm.h"
#include "kernels/conv_int8/intrinsics_avx512.h"

namespace stair::kernels {
namespace {

// clang-format off
#include "kernels/conv_int8/vector_avx512.inc"
#include "kernels/conv_int8/copy_avx512.inc"
#include "kernels/conv_int8/gather.inc"
#include "kernels/conv_int8/unpack.inc"
#include "kernels/conv_int8/epilogue.inc"
#include "kernels/conv_int8/unrolled.inc"
#include "kernels/conv_int8/narrow.inc"
#include "kernels/conv_int8/gathered.inc"
// clang-format on

constexpr int kRowBlock = 14, kPanelVectors = 2;

[[gnu::always_inline]] inline __m512i dot(__m512i acc, __m512i x, __m512i w) {
  return _mm512_dpbusd_epi32(acc, x, w);
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

void register_conv_int8_vnni(Registry& r) {
  r.add(ConvInt8::kName, "conv_int8_u8s8_igemm_vnni", Isa::vnni, &kConvInt8);
}

}  // namespace stair::kernels
