#include "core/parallel.h"
#include "kernels/pool/pool.h"

namespace stair::kernels {
namespace {

template <class T>
void max_pool(const typename MaxPool<T>::Args& a) {
  const PoolShape& s = a.s;
  parallel_tasks(s.n * s.oh(), [&](int64_t row) {
    const int64_t n = row / s.oh(), y0 = row % s.oh() * s.stride_h - s.pad_top;
    for (int64_t ox = 0; ox < s.ow(); ++ox) {
      const int64_t x0 = ox * s.stride_w - s.pad_left;
      for (int64_t c = 0; c < s.c; ++c) {
        bool found = false;
        T best = 0;
        int32_t place = 0;
        for (int64_t k = 0; k < s.kh * s.kw; ++k) {
          const int64_t iy = y0 + k / s.kw, ix = x0 + k % s.kw;
          if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) continue;
          const T x = a.x[((n * s.h + iy) * s.w + ix) * s.c + c];
          if (!found || x > best) {
            best = x;
            place = static_cast<int32_t>(k);
          }
          found = true;
        }
        const int64_t out = (row * s.ow() + ox) * s.c + c;
        a.y[out] = best;
        if (a.index != nullptr) a.index[out] = place;
      }
    }
  });
}

constexpr MaxPool<uint8_t>::Impl kMaxU8{max_pool<uint8_t>};
constexpr MaxPool<int8_t>::Impl kMaxS8{max_pool<int8_t>};

}  // namespace

void register_pool_int8_ref(Registry& r) {
  r.add(MaxPool<uint8_t>::kName, "max_pool_u8_ref", Isa::ref, &kMaxU8);
  r.add(MaxPool<int8_t>::kName, "max_pool_s8_ref", Isa::ref, &kMaxS8);
}

}  // namespace stair::kernels
