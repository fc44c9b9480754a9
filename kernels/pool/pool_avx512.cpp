#include "core/parallel.h"
#include "kernels/pool/pool.h"

namespace stair::kernels {
namespace {

constexpr int kLanes = 16;

#include "kernels/pool/pool_simd.inc"

}  // namespace

void register_pool_avx512(Registry& r) {
  r.add(MaxPool<float>::kName, "max_pool_f32_avx512", Isa::avx512, &kMax);
  r.add(MaxPoolBackward<float>::kName, "max_pool_backward_f32_avx512", Isa::avx512, &kMaxBackward);
  r.add(AvgPool<float>::kName, "avg_pool_f32_avx512", Isa::avx512, &kAvg);
  r.add(AvgPoolBackward<float>::kName, "avg_pool_backward_f32_avx512", Isa::avx512, &kAvgBackward);
}

}  // namespace stair::kernels
