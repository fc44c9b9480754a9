#include "kernels/norm/batch_norm.h"

namespace stair::kernels {
namespace {

#include "kernels/norm/norm_simd.inc"

}  // namespace

void register_norm_avx512(Registry& r) {
  r.add(BatchNormForward<float>::kName, "batch_norm_forward_f32_avx512", Isa::avx512, &kForward);
  r.add(BatchNormBackward<float>::kName, "batch_norm_backward_f32_avx512", Isa::avx512, &kBackward);
}

}  // namespace stair::kernels
