#include <vector>

#include "core/parallel.h"
#include "kernels/conv/conv.h"

namespace stair::kernels {
namespace {

// Calls f(x offset, w offset, output channel) for every product that makes output pixel (n, oy,
// ox), padding left out.
template <class F>
void for_products(const ConvShape& s, int64_t n, int64_t oy, int64_t ox, int64_t o, const F& f) {
  const int64_t i_count = s.i(), group = o / (s.o / s.groups);
  for (int64_t ky = 0; ky < s.kh; ++ky) {
    const int64_t iy = oy * s.stride_h - s.pad_top + ky * s.dilation_h;
    if (iy < 0 || iy >= s.h) continue;
    for (int64_t kx = 0; kx < s.kw; ++kx) {
      const int64_t ix = ox * s.stride_w - s.pad_left + kx * s.dilation_w;
      if (ix < 0 || ix >= s.w) continue;
      const int64_t x0 = ((n * s.h + iy) * s.w + ix) * s.c + group * i_count;
      const int64_t w0 = ((o * s.kh + ky) * s.kw + kx) * i_count;
      for (int64_t i = 0; i < i_count; ++i) f(x0 + i, w0 + i);
    }
  }
}

template <class F>
void for_outputs(const ConvShape& s, int64_t n, const F& f) {
  for (int64_t oy = 0; oy < s.oh(); ++oy)
    for (int64_t ox = 0; ox < s.ow(); ++ox)
      for (int64_t o = 0; o < s.o; ++o) f(oy, ox, o, ((n * s.oh() + oy) * s.ow() + ox) * s.o + o);
}

template <class T>
void forward(const typename ConvForward<T>::Args& a) {
  parallel_tasks(a.s.n, [&](int64_t n) {
    for_outputs(a.s, n, [&](int64_t oy, int64_t ox, int64_t o, int64_t y) {
      double sum = a.bias ? static_cast<double>(a.bias[o]) : 0.0;
      for_products(a.s, n, oy, ox, o,
                   [&](int64_t x, int64_t w) { sum += static_cast<double>(a.x[x]) * a.w[w]; });
      a.y[y] = static_cast<T>(sum);
    });
  });
}

template <class T>
void backward_data(const typename ConvBackwardData<T>::Args& a) {
  const int64_t image = a.s.h * a.s.w * a.s.c;
  parallel_tasks(a.s.n, [&](int64_t n) {
    std::vector<double> gx(static_cast<size_t>(image), 0.0);
    for_outputs(a.s, n, [&](int64_t oy, int64_t ox, int64_t o, int64_t y) {
      const double gy = a.gy[y];
      for_products(a.s, n, oy, ox, o, [&](int64_t x, int64_t w) {
        gx[static_cast<size_t>(x - n * image)] += gy * a.w[w];
      });
    });
    for (int64_t i = 0; i < image; ++i)
      a.gx[n * image + i] = static_cast<T>(gx[static_cast<size_t>(i)]);
  });
}

// x_at: the value of x at an offset.
template <class T, class X>
void weights_gradient(const ConvShape& s, const T* gy, const X& x_at, T* result) {
  const int64_t k = s.k();
  parallel_tasks(s.o, [&](int64_t o) {
    std::vector<double> gw(static_cast<size_t>(k), 0.0);
    for (int64_t n = 0; n < s.n; ++n)
      for (int64_t oy = 0; oy < s.oh(); ++oy)
        for (int64_t ox = 0; ox < s.ow(); ++ox) {
          const double g = gy[((n * s.oh() + oy) * s.ow() + ox) * s.o + o];
          for_products(s, n, oy, ox, o, [&](int64_t x, int64_t w) {
            gw[static_cast<size_t>(w - o * k)] += g * static_cast<double>(x_at(x));
          });
        }
    for (int64_t i = 0; i < k; ++i) result[o * k + i] = static_cast<T>(gw[static_cast<size_t>(i)]);
  });
}

template <class T>
void backward_weights(const typename ConvBackwardWeights<T>::Args& a) {
  weights_gradient(
      a.s, a.gy, [&](int64_t i) { return a.x[i]; }, a.gw);
}

void codes_backward_weights(const CodesBackwardWeights::Args& a) {
  const auto value = [&](int64_t i) {
    const int32_t code =
        a.q_signed ? static_cast<const int8_t*>(a.q)[i] : static_cast<const uint8_t*>(a.q)[i];
    return static_cast<double>(code - a.zero_point) * static_cast<double>(a.scale);
  };
  weights_gradient(a.s, a.gy, value, a.gw);
}
constexpr CodesBackwardWeights::Impl kCodesBackwardWeights{codes_backward_weights};

template <class T>
struct Kernels {
  static constexpr typename ConvForward<T>::Impl kForward{forward<T>};
  static constexpr typename ConvBackwardData<T>::Impl kBackwardData{backward_data<T>};
  static constexpr typename ConvBackwardWeights<T>::Impl kBackwardWeights{backward_weights<T>};
};

}  // namespace

void register_conv_ref(Registry& r) {
  r.add(ConvForward<float>::kName, "conv_forward_f32_ref", Isa::ref, &Kernels<float>::kForward);
  r.add(ConvForward<double>::kName, "conv_forward_f64_ref", Isa::ref, &Kernels<double>::kForward);
  r.add(ConvBackwardData<float>::kName, "conv_backward_data_f32_ref", Isa::ref,
        &Kernels<float>::kBackwardData);
  r.add(ConvBackwardData<double>::kName, "conv_backward_data_f64_ref", Isa::ref,
        &Kernels<double>::kBackwardData);
  r.add(ConvBackwardWeights<float>::kName, "conv_backward_weights_f32_ref", Isa::ref,
        &Kernels<float>::kBackwardWeights);
  r.add(ConvBackwardWeights<double>::kName, "conv_backward_weights_f64_ref", Isa::ref,
        &Kernels<double>::kBackwardWeights);
  r.add(CodesBackwardWeights::kName, "conv_codes_backward_weights_ref", Isa::ref,
        &kCodesBackwardWeights);
}

}  // namespace stair::kernels
