#include "core/parallel.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/simd/f32_avx2.h"

namespace stair::kernels {
namespace {

#include "kernels/elementwise/elementwise_simd.inc"
}  // namespace

void register_elementwise_avx2(Registry& r) {
  r.add(Unary<float>::kName, "unary_f32_avx2", Isa::avx2, &kUnary);
  r.add(UnaryBackward<float>::kName, "unary_backward_f32_avx2", Isa::avx2, &kUnaryBackward);
  r.add(Binary<float>::kName, "binary_f32_avx2", Isa::avx2, &kBinary);
  r.add(Axpy<float>::kName, "axpy_f32_avx2", Isa::avx2, &kAxpy);
  r.add(StoreFar<float>::kName, "store_far_f32_avx2", Isa::avx2, &kStoreFar);
}

}  // namespace stair::kernels
