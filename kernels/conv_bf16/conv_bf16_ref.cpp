#include <vector>

#include "kernels/conv_bf16/conv_bf16.h"

namespace stair::kernels {
namespace {

#include "kernels/conv_bf16/terms.inc"

std::vector<double> rounded_gradient(const ConvShape& s, const float* gy, const float* scale,
                                     int terms) {
  std::vector<double> out(static_cast<size_t>(s.rows() * s.o));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = round_terms(scale ? gy[i] * scale[i % static_cast<size_t>(s.o)] : gy[i], terms);
  return out;
}

void backward_data(const ConvBf16BackwardData::Args& a) {
  const ConvShape& s = a.s;
  const std::vector<double> gy = rounded_gradient(s, a.gy, a.w_scale, a.terms),
                            w(a.w, a.w + s.o * s.k());
  std::vector<double> gx(static_cast<size_t>(s.n * s.h * s.w * s.c));
  run<ConvBackwardData<double>>({s, gy.data(), w.data(), gx.data()});
  for (size_t i = 0; i < gx.size(); ++i) a.gx[i] = static_cast<float>(gx[i]);
}

void backward_weights(const ConvBf16BackwardWeights::Args& a) {
  const ConvShape& s = a.s;
  const std::vector<double> gy = rounded_gradient(s, a.gy, nullptr, a.terms);
  std::vector<double> x(static_cast<size_t>(s.n * s.h * s.w * s.c)),
      gw(static_cast<size_t>(s.o * s.k()));
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = (a.x_signed ? static_cast<const int8_t*>(a.x)[i] : static_cast<const uint8_t*>(a.x)[i]) -
           a.x_zero_point;
  run<ConvBackwardWeights<double>>({s, x.data(), gy.data(), gw.data()});
  for (size_t i = 0; i < gw.size(); ++i) a.gw[i] = static_cast<float>(gw[i] * a.x_scale);
}

constexpr ConvBf16BackwardData::Impl kBackwardData{backward_data};
constexpr ConvBf16BackwardWeights::Impl kBackwardWeights{backward_weights};

}  // namespace

void register_conv_bf16_ref(Registry& r) {
  r.add(ConvBf16BackwardData::kName, "conv_bf16_backward_data_ref", Isa::ref, &kBackwardData);
  r.add(ConvBf16BackwardWeights::kName, "conv_bf16_backward_weights_ref", Isa::ref,
        &kBackwardWeights);
}

}  // namespace stair::kernels
