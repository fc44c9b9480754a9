#include "kernels/norm/batch_norm.h"
#include "kernels/simd/f32_avx2.h"

namespace stair::kernels {
namespace {

#include "kernels/norm/norm_simd.inc"

}  // namespace

void register_norm_avx2(Registry& r) {
  register_all(r, Isa::avx2,
               {"batch_norm_forward_f32_avx2", "batch_norm_backward_f32_avx2",
                "batch_statistics_f32_avx2", "normalize_activate_f32_avx2",
                "normalize_activate_sums_f32_avx2", "normalize_activate_gradient_f32_avx2"});
}

}  // namespace stair::kernels
