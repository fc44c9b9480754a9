#include "kernels/conv_bf16/conv_bf16.h"
#include "kernels/conv_bf16/rounded.h"

namespace stair::kernels {
namespace {

#include "kernels/conv_bf16/terms.inc"

template <class T>
void widen(const T* from, int32_t zero_point, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(from[i] - zero_point);
}

template <int kTerms>
void round_row(const float* from, const float* scale, int64_t count, float* to) {
  if (scale == nullptr)
    for (int64_t i = 0; i < count; ++i) to[i] = round_terms(from[i], kTerms);
  else
    for (int64_t i = 0; i < count; ++i) to[i] = round_terms(from[i] * scale[i], kTerms);
}

constexpr RoundedPasses kPasses{
    [](const float* from, const float* scale, int64_t count, int terms, float* to) {
      terms == 1 ? round_row<1>(from, scale, count, to) : round_row<2>(from, scale, count, to);
    },
    widen<uint8_t>, widen<int8_t>,
    [](float* v, float factor, int64_t count) {
      for (int64_t i = 0; i < count; ++i) v[i] *= factor;
    }};

constexpr ConvBf16BackwardData::Impl kBackwardData{
    [](const ConvBf16BackwardData::Args& a) { rounded_backward_data(a, kPasses); }};
constexpr ConvBf16BackwardWeights::Impl kBackwardWeights{
    [](const ConvBf16BackwardWeights::Args& a) { rounded_backward_weights(a, kPasses); }};

}  // namespace

void register_conv_bf16_avx2(Registry& r) {
  r.add(ConvBf16BackwardData::kName, "conv_bf16_backward_data_rounded_avx2", Isa::avx2,
        &kBackwardData);
  r.add(ConvBf16BackwardWeights::kName, "conv_bf16_backward_weights_rounded_avx2", Isa::avx2,
        &kBackwardWeights);
}

}  // namespace stair::kernels
