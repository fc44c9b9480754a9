#include "kernels/conv/conv.h"
#include "kernels/conv/igemm.h"
#include "kernels/conv/outer.h"
#include "kernels/conv/winograd.h"
#include "kernels/simd/f32_avx2.h"

namespace stair::kernels {
namespace {

#include "kernels/conv/igemm_f32.inc"
#include "kernels/conv/outer_f32.inc"
#include "kernels/conv/winograd_f32.inc"

// 6 pixels: 12 sums, two weights and a pixel fill the 16 vector registers but one.
constexpr IgemmMicro kIgemm{6, Vec::kLanes, igemm_panel<6>};
constexpr OuterMicro kOuter{Vec::kLanes, {kOuterTile<6>, kOuterTile<5>, kOuterTile<4>}, copy_tiles};

#include "kernels/conv/conv_f32.inc"

}  // namespace

void register_conv_f32_avx2(Registry& r) {
  r.add(ConvForward<float>::kName, "conv_forward_f32_winograd_avx2", Isa::avx2, &kWinogradForward);
  r.add(ConvBackwardData<float>::kName, "conv_backward_data_f32_winograd_avx2", Isa::avx2,
        &kWinogradBackwardData);
  r.add(ConvBackwardWeights<float>::kName, "conv_backward_weights_f32_winograd_avx2", Isa::avx2,
        &kWinogradBackwardWeights);
  r.add(ConvForward<float>::kName, "conv_forward_f32_igemm_avx2", Isa::avx2, &kForward);
  r.add(ConvBackwardData<float>::kName, "conv_backward_data_f32_igemm_avx2", Isa::avx2,
        &kBackwardData);
  r.add(ConvBackwardWeights<float>::kName, "conv_backward_weights_f32_outer_avx2", Isa::avx2,
        &kBackwardWeights);
  r.add(CodesBackwardWeights::kName, "conv_codes_backward_weights_outer_avx2", Isa::avx2,
        &kCodesBackwardWeights);
}

}  // namespace stair::kernels
