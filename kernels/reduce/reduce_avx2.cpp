#include "kernels/reduce/channel_reduce.h"

namespace stair::kernels {
namespace {

#include "kernels/reduce/reduce_simd.inc"

}  // namespace

void register_reduce_avx2(Registry& r) {
  r.add(MinMax<float>::kName, "min_max_f32_avx2", Isa::avx2, &kMinMax);
  r.add(SumChannels<float>::kName, "sum_channels_f32_avx2", Isa::avx2, &kSum);
  r.add(DotChannels<float>::kName, "dot_channels_f32_avx2", Isa::avx2, &kDot);
}

}  // namespace stair::kernels
