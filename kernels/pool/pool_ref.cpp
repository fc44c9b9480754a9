#include <vector>

#include "core/parallel.h"
#include "kernels/pool/pool.h"

namespace stair::kernels {
namespace {

// Calls f(input offset, tap) for the pixels of the window of output pixel (oy, ox) of image n that
// lie in the picture.
template <class F>
void for_window(const PoolShape& s, int64_t n, int64_t oy, int64_t ox, const F& f) {
  for (int64_t ky = 0; ky < s.kh; ++ky) {
    const int64_t iy = oy * s.stride_h - s.pad_top + ky;
    if (iy < 0 || iy >= s.h) continue;
    for (int64_t kx = 0; kx < s.kw; ++kx) {
      const int64_t ix = ox * s.stride_w - s.pad_left + kx;
      if (ix < 0 || ix >= s.w) continue;
      f(((n * s.h + iy) * s.w + ix) * s.c, ky * s.kw + kx);
    }
  }
}

// Calls f(oy, ox, output offset) for the output pixels of image n.
template <class F>
void for_outputs(const PoolShape& s, int64_t n, const F& f) {
  for (int64_t oy = 0; oy < s.oh(); ++oy)
    for (int64_t ox = 0; ox < s.ow(); ++ox) f(oy, ox, ((n * s.oh() + oy) * s.ow() + ox) * s.c);
}

double count(const PoolShape& s, int64_t n, int64_t oy, int64_t ox) {
  if (s.count_include_pad) return static_cast<double>(s.kh * s.kw);
  int64_t inside = 0;
  for_window(s, n, oy, ox, [&](int64_t, int64_t) { ++inside; });
  return static_cast<double>(inside);
}

template <class T>
void max_pool(const typename MaxPool<T>::Args& a) {
  parallel_tasks(a.s.n, [&](int64_t n) {
    for_outputs(a.s, n, [&](int64_t oy, int64_t ox, int64_t out) {
      for (int64_t c = 0; c < a.s.c; ++c) {
        T best = 0;
        int64_t place = -1;
        for_window(a.s, n, oy, ox, [&](int64_t in, int64_t tap) {
          const T x = a.x[in + c];
          const bool first_nan = x != x && best == best;
          if (place >= 0 && !(x > best) && !first_nan) return;
          best = x;
          place = tap;
        });
        a.y[out + c] = best;
        if (a.index != nullptr) a.index[out + c] = static_cast<int32_t>(place);
      }
    });
  });
}

// Sums share(output offset + c, tap, oy, ox) into the pixels of each window, in double.
template <class T, class Share>
void spread(const PoolShape& s, T* gx, const Share& share) {
  const int64_t image = s.h * s.w * s.c;
  parallel_tasks(s.n, [&](int64_t n) {
    std::vector<double> sum(static_cast<size_t>(image), 0.0);
    for_outputs(s, n, [&](int64_t oy, int64_t ox, int64_t out) {
      for_window(s, n, oy, ox, [&](int64_t in, int64_t tap) {
        for (int64_t c = 0; c < s.c; ++c)
          sum[static_cast<size_t>(in - n * image + c)] += share(n, oy, ox, out + c, tap);
      });
    });
    for (int64_t i = 0; i < image; ++i)
      gx[n * image + i] = static_cast<T>(sum[static_cast<size_t>(i)]);
  });
}

template <class T>
void max_pool_backward(const typename MaxPoolBackward<T>::Args& a) {
  spread(a.s, a.gx, [&](int64_t, int64_t, int64_t, int64_t out, int64_t tap) {
    return a.index[out] == tap ? static_cast<double>(a.gy[out]) : 0.0;
  });
}

template <class T>
void avg_pool(const typename AvgPool<T>::Args& a) {
  parallel_tasks(a.s.n, [&](int64_t n) {
    for_outputs(a.s, n, [&](int64_t oy, int64_t ox, int64_t out) {
      const double divisor = count(a.s, n, oy, ox);
      for (int64_t c = 0; c < a.s.c; ++c) {
        double sum = 0;
        for_window(a.s, n, oy, ox, [&](int64_t in, int64_t) { sum += a.x[in + c]; });
        a.y[out + c] = static_cast<T>(sum / divisor);
      }
    });
  });
}

template <class T>
void avg_pool_backward(const typename AvgPoolBackward<T>::Args& a) {
  spread(a.s, a.gx, [&](int64_t n, int64_t oy, int64_t ox, int64_t out, int64_t) {
    return a.gy[out] / count(a.s, n, oy, ox);
  });
}

template <class T>
struct Kernels {
  static constexpr typename MaxPool<T>::Impl kMax{max_pool<T>};
  static constexpr typename MaxPoolBackward<T>::Impl kMaxBackward{max_pool_backward<T>};
  static constexpr typename AvgPool<T>::Impl kAvg{avg_pool<T>};
  static constexpr typename AvgPoolBackward<T>::Impl kAvgBackward{avg_pool_backward<T>};
};

}  // namespace

void register_pool_ref(Registry& r) {
  r.add(MaxPool<float>::kName, "max_pool_f32_ref", Isa::ref, &Kernels<float>::kMax);
  r.add(MaxPool<double>::kName, "max_pool_f64_ref", Isa::ref, &Kernels<double>::kMax);
  r.add(MaxPoolBackward<float>::kName, "max_pool_backward_f32_ref", Isa::ref,
        &Kernels<float>::kMaxBackward);
  r.add(MaxPoolBackward<double>::kName, "max_pool_backward_f64_ref", Isa::ref,
        &Kernels<double>::kMaxBackward);
  r.add(AvgPool<float>::kName, "avg_pool_f32_ref", Isa::ref, &Kernels<float>::kAvg);
  r.add(AvgPool<double>::kName, "avg_pool_f64_ref", Isa::ref, &Kernels<double>::kAvg);
  r.add(AvgPoolBackward<float>::kName, "avg_pool_backward_f32_ref", Isa::ref,
        &Kernels<float>::kAvgBackward);
  r.add(AvgPoolBackward<double>::kName, "avg_pool_backward_f64_ref", Isa::ref,
        &Kernels<double>::kAvgBackward);
}

}  // namespace stair::kernels
