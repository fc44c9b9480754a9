#include "core/parallel.h"
#include "kernels/pool/pool.h"

namespace stair::kernels {
namespace {

constexpr int kLanes = 8;

#include "kernels/pool/pool_simd.inc"

}  // namespace

void register_pool_avx2(Registry& r) {
  r.add(MaxPool<float>::kName, "max_pool_f32_avx2", Isa::avx2, &kMax);
  r.add(MaxPoolBackward<float>::kName, "max_pool_backward_f32_avx2", Isa::avx2, &kMaxBackward);
  r.add(AvgPool<float>::kName, "avg_pool_f32_avx2", Isa::avx2, &kAvg);
  r.add(AvgPoolBackward<float>::kName, "avg_pool_backward_f32_avx2", Isa::avx2, &kAvgBackward);
}

}  // namespace stair::kernels
