// Quant-Noise: in training each element is quantized with probability 1/2, the others pass as they
// are, and their gradients with them; evaluation and deployment quantize all.
//
//   y = (q - z) * s where u < 1/2, else x;  q, z, s and the gradient of quantized elements as `ste`
// A training forward gives real numbers, so its convolutions run in float.
#include "autograd/ops/dequantize.h"
#include "autograd/ops/quantize.h"
#include "qat/noise.h"
#include "qat/rule.h"

namespace stair::qat {
namespace {

constexpr float kRate = 0.5F;

Dual forward(const RuleSample& a, double dx, double) {
  const Dual scale{a.scale, 0};
  return clamp_closed(round_through(Dual{a.x, dx} / scale), a.qmin, a.qmax) * scale;
}

RuleGradient backward(const RuleSample& a) {
  const float q = std::nearbyint(a.x * (1.0F / a.scale));
  return {q >= a.qmin && q <= a.qmax ? 1.0F : 0.0F, 0.0F};
}

class QuantNoise final : public Quantizer {
 public:
  using Quantizer::Quantizer;

 private:
  Variable apply(const Variable& x, bool relu) const override {
    const Variable q = autograd::quantize(x, qparams(x.deferred()), spec().dtype(), relu);
    return is_training() ? mixed(x, autograd::dequantize(q), relu) : q;
  }

  // The gradient of an element goes the way its value came.
  static Variable mixed(const Variable& x, const Variable& quantized, bool relu) {
    const uint64_t key = draw_noise_key();
    Tensor y = quantized.value().clone();
    for_each_with_noise(
        key, y.numel(),
        [&, from = x.value().data<float>(), to = y.data<float>()](int64_t i, float u) {
          if (u >= kRate) to[i] = relu && !(from[i] > 0) ? 0.0F : from[i];
        });
    return autograd::record(
        "quantnoise", {x, quantized}, y, [key, xv = x.value(), relu](const Tensor& gy) {
          Tensor plain = Tensor::zeros(gy.shape(), DType::f32);
          Tensor through = Tensor::zeros(gy.shape(), DType::f32);
          const float *g = gy.data<float>(), *from = xv.data<float>();
          for_each_with_noise(
              key, gy.numel(),
              [&, a = plain.data<float>(), b = through.data<float>()](int64_t i, float u) {
                if (u < kRate)
                  b[i] = g[i];
                else if (!relu || from[i] > 0)
                  a[i] = g[i];
              });
          return std::vector<Tensor>{plain, through};
        });
  }
};

std::shared_ptr<Quantizer> make(const QuantizationSpec& spec, int64_t channels,
                                Activation activation) {
  return std::make_shared<QuantNoise>(spec, channels, activation);
}

}  // namespace

const QuantizerDef quantizer_quantnoise{
    "quantnoise",
    "Fan et al., arXiv:2004.07320, with elements as blocks; ours: activations as well",
    "none",
    make,
    forward,
    backward,
};

}  // namespace stair::qat
