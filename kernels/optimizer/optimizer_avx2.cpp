#include "core/parallel.h"
#include "kernels/optimizer/optimizer.h"

namespace stair::kernels {
namespace {

#include "kernels/optimizer/optimizer_simd.inc"

}  // namespace

void register_optimizer_avx2(Registry& r) {
  r.add(Sgd<float>::kName, "sgd_f32_avx2", Isa::avx2, &kSgd);
  r.add(Adam<float>::kName, "adam_f32_avx2", Isa::avx2, &kAdam);
}

}  // namespace stair::kernels
