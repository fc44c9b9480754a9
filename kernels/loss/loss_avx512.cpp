#include "core/parallel.h"
#include "kernels/loss/loss.h"

namespace stair::kernels {
namespace {

#include "kernels/loss/loss_simd.inc"

}  // namespace

void register_loss_avx512(Registry& r) {
  r.add(SoftmaxCrossEntropy<float>::kName, "softmax_cross_entropy_f32_avx512", Isa::avx512,
        &kCrossEntropy);
  r.add(Softmax<float>::kName, "softmax_f32_avx512", Isa::avx512, &kSoftmax);
}

}  // namespace stair::kernels
