// vpermi2b: 128 bytes of the table at once. Processors have had VBMI since the one after the first
// with VNNI, so it is asked for apart.
#include "core/parallel.h"
#include "kernels/conv_int8/intrinsics_avx512.h"
#include "kernels/qelementwise/qelementwise.h"

namespace stair::kernels {
namespace {

[[gnu::target("avx512vbmi")]] void look_up_range(const uint8_t* x, const uint8_t* table, int64_t n,
                                                 uint8_t* y) {
  const __m512i t0 = _mm512_loadu_si512(table), t1 = _mm512_loadu_si512(table + 64),
                t2 = _mm512_loadu_si512(table + 128), t3 = _mm512_loadu_si512(table + 192);
  for (int64_t i = 0; i < n; i += 64) {
    const __mmask64 exist = n - i >= 64 ? ~0ULL : ~0ULL >> (64 - (n - i));
    const __m512i codes = _mm512_maskz_loadu_epi8(exist, x + i);
    const __m512i low = _mm512_permutex2var_epi8(t0, codes, t1),
                  high = _mm512_permutex2var_epi8(t2, codes, t3);
    _mm512_mask_storeu_epi8(y + i, exist,
                            _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), low, high));
  }
}

void look_up(const LookUpInt8::Args& a) {
  constexpr int64_t kGrain = 1 << 16;
  parallel_for(a.n, kGrain, [&](int64_t begin, int64_t end) {
    look_up_range(static_cast<const uint8_t*>(a.x) + begin, a.table, end - begin,
                  static_cast<uint8_t*>(a.y) + begin);
  });
}

constexpr LookUpInt8::Impl kLookUp{
    look_up, [](const LookUpInt8::Args&) { return __builtin_cpu_supports("avx512vbmi") != 0; }};

}  // namespace

void register_look_up_vnni(Registry& r) {
  r.add(LookUpInt8::kName, "look_up_int8_vbmi_vnni", Isa::vnni, &kLookUp);
}

}  // namespace stair::kernels
