#include <immintrin.h>

#include "core/parallel.h"
#include "kernels/conv_int8/int8_gemm.h"
#include "kernels/qelementwise/qelementwise.h"

namespace stair::kernels {
namespace {

// clang-format off
#include "kernels/conv_int8/vector_avx2.inc"
#include "kernels/conv_int8/epilogue.inc"
#include "kernels/qelementwise/qelementwise.inc"
// clang-format on

}  // namespace

void register_qelementwise_avx2(Registry& r) {
  r.add(AddInt8::kName, "add_int8_avx2", Isa::avx2, &kAdd);
  r.add(AddCodes::kName, "add_codes_avx2", Isa::avx2, &kAddCodes);
  r.add(MulInt8::kName, "mul_int8_avx2", Isa::avx2, &kMul);
  r.add(AvgPoolInt8::kName, "avg_pool_int8_avx2", Isa::avx2, &kAvgPool);
  r.add(RequantizeInt8::kName, "requantize_int8_avx2", Isa::avx2, &kRequantize);
}

}  // namespace stair::kernels
