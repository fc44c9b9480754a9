#include "core/parallel.h"
#include "kernels/optimizer/optimizer.h"

namespace stair::kernels {
namespace {

#include "kernels/optimizer/optimizer_simd.inc"

}  // namespace

void register_optimizer_avx512(Registry& r) {
  r.add(Sgd<float>::kName, "sgd_f32_avx512", Isa::avx512, &kSgd);
  r.add(Adam<float>::kName, "adam_f32_avx512", Isa::avx512, &kAdam);
}

}  // namespace stair::kernels
