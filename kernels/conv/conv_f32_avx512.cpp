#include "kernels/conv/conv.h"
#include "kernels/conv/igemm.h"
#include "kernels/simd/f32_avx512.h"

namespace stair::kernels {
namespace {

#include "kernels/conv/igemm_f32.inc"

// 12 pixels: their pointers fit the general registers, and 24 sums, two weights and a pixel the
// vector registers.
constexpr IgemmMicro kIgemm{12, Vec::kLanes, igemm_panel<12>};

template <class Args>
bool supports(const Args& a) {
  return !a.s.depthwise();
}

constexpr ConvForward<float>::Impl kForward{
    [](const ConvForward<float>::Args& a) { igemm_forward(a, kIgemm); }, supports};
constexpr ConvBackwardData<float>::Impl kBackwardData{
    [](const ConvBackwardData<float>::Args& a) { igemm_backward_data(a, kIgemm); }, supports};

}  // namespace

void register_conv_f32_avx512(Registry& r) {
  r.add(ConvForward<float>::kName, "conv_forward_f32_igemm_avx512", Isa::avx512, &kForward);
  r.add(ConvBackwardData<float>::kName, "conv_backward_data_f32_igemm_avx512", Isa::avx512,
        &kBackwardData);
}

}  // namespace stair::kernels
