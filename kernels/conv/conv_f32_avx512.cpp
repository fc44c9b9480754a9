#include "kernels/conv/conv.h"
#include "kernels/conv/igemm.h"
#include "kernels/conv/outer.h"
#include "kernels/conv/winograd.h"
#include "kernels/simd/f32_avx512.h"

namespace stair::kernels {
namespace {

#include "kernels/conv/igemm_f32.inc"
#include "kernels/conv/outer_f32.inc"
#include "kernels/conv/winograd_f32.inc"

// 12 pixels: their pointers fit the general registers, and 24 sums, two weights and a pixel the
// vector registers.
constexpr IgemmMicro kIgemm{12, Vec::kLanes, igemm_panel<12>};
// 13 output channels leave few rows empty for the usual 64, 128, 256 and 512, 12 for 24, 96, 144.
constexpr OuterMicro kOuter{
    Vec::kLanes, {kOuterTile<13>, kOuterTile<12>, kOuterTile<8>}, copy_tiles};

#include "kernels/conv/conv_f32.inc"

}  // namespace

void register_conv_f32_avx512(Registry& r) {
  r.add(ConvForward<float>::kName, "conv_forward_f32_winograd_avx512", Isa::avx512,
        &kWinogradForward);
  r.add(ConvBackwardData<float>::kName, "conv_backward_data_f32_winograd_avx512", Isa::avx512,
        &kWinogradBackwardData);
  r.add(ConvBackwardWeights<float>::kName, "conv_backward_weights_f32_winograd_avx512", Isa::avx512,
        &kWinogradBackwardWeights);
  r.add(ConvForward<float>::kName, "conv_forward_f32_igemm_avx512", Isa::avx512, &kForward);
  r.add(ConvBackwardData<float>::kName, "conv_backward_data_f32_igemm_avx512", Isa::avx512,
        &kBackwardData);
  r.add(ConvBackwardWeights<float>::kName, "conv_backward_weights_f32_outer_avx512", Isa::avx512,
        &kBackwardWeights);
  r.add(CodesBackwardWeights::kName, "conv_codes_backward_weights_outer_avx512", Isa::avx512,
        &kCodesBackwardWeights);
}

}  // namespace stair::kernels
