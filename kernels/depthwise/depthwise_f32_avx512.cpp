#include "kernels/depthwise/depthwise.h"
#include "kernels/simd/f32_avx512.h"

namespace stair::kernels {
namespace {

#include "kernels/depthwise/depthwise_f32.inc"

constexpr DepthwiseMicro kMicro{depthwise_row, depthwise_sum<float>, depthwise_sum<uint8_t>};

template <class Args>
bool supports(const Args& a) {
  return a.s.depthwise();
}

constexpr ConvForward<float>::Impl kForward{
    [](const ConvForward<float>::Args& a) { depthwise_forward(a, kMicro); }, supports};
constexpr ConvBackwardData<float>::Impl kBackwardData{
    [](const ConvBackwardData<float>::Args& a) { depthwise_backward_data(a, kMicro); }, supports};
constexpr ConvBackwardWeights<float>::Impl kBackwardWeights{
    [](const ConvBackwardWeights<float>::Args& a) { depthwise_backward_weights(a, kMicro); },
    supports};
constexpr CodesBackwardWeights::Impl kCodesBackwardWeights{
    [](const CodesBackwardWeights::Args& a) { depthwise_codes_backward_weights(a, kMicro); },
    supports};

}  // namespace

void register_depthwise_f32_avx512(Registry& r) {
  r.add(ConvForward<float>::kName, "conv_forward_f32_depthwise_avx512", Isa::avx512, &kForward);
  r.add(ConvBackwardData<float>::kName, "conv_backward_data_f32_depthwise_avx512", Isa::avx512,
        &kBackwardData);
  r.add(ConvBackwardWeights<float>::kName, "conv_backward_weights_f32_depthwise_avx512",
        Isa::avx512, &kBackwardWeights);
  r.add(CodesBackwardWeights::kName, "conv_codes_backward_weights_depthwise_avx512", Isa::avx512,
        &kCodesBackwardWeights);
}

}  // namespace stair::kernels
