#include "core/parallel.h"
#include "kernels/conv_int8/int8_gemm.h"
#include "kernels/conv_int8/intrinsics_avx512.h"
#include "kernels/qelementwise/qelementwise.h"

namespace stair::kernels {
namespace {

// clang-format off
#include "kernels/conv_int8/vector_avx512.inc"
#include "kernels/conv_int8/epilogue.inc"
#include "kernels/qelementwise/qelementwise.inc"
// clang-format on

}  // namespace

void register_qelementwise_avx512(Registry& r) {
  r.add(AddInt8::kName, "add_int8_avx512", Isa::avx512, &kAdd);
  r.add(AddCodes::kName, "add_codes_avx512", Isa::avx512, &kAddCodes);
  r.add(MulInt8::kName, "mul_int8_avx512", Isa::avx512, &kMul);
  r.add(AvgPoolInt8::kName, "avg_pool_int8_avx512", Isa::avx512, &kAvgPool);
  r.add(RequantizeInt8::kName, "requantize_int8_avx512", Isa::avx512, &kRequantize);
}

}  // namespace stair::kernels
