#include "kernels/reduce/channel_reduce.h"

namespace stair::kernels {
namespace {

#include "kernels/reduce/reduce_simd.inc"

}  // namespace

void register_reduce_avx512(Registry& r) {
  r.add(MinMax<float>::kName, "min_max_f32_avx512", Isa::avx512, &kMinMax);
  r.add(SumChannels<float>::kName, "sum_channels_f32_avx512", Isa::avx512, &kSum);
  r.add(DotChannels<float>::kName, "dot_channels_f32_avx512", Isa::avx512, &kDot);
}

}  // namespace stair::kernels
