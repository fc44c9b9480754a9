#include "core/parallel.h"
#include "kernels/loss/loss.h"

namespace stair::kernels {
namespace {

#include "kernels/loss/loss_simd.inc"

}  // namespace

void register_loss_avx2(Registry& r) {
  r.add(SoftmaxCrossEntropy<float>::kName, "softmax_cross_entropy_f32_avx2", Isa::avx2,
        &kCrossEntropy);
  r.add(Softmax<float>::kName, "softmax_f32_avx2", Isa::avx2, &kSoftmax);
}

}  // namespace stair::kernels
