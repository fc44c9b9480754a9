// LSQ, learned step size quantization.
//
//   v = x / s, relative to the zero point: n = qmin - z, p = qmax - z
//   y = rne(clamp(v, n, p)) * s
//   dy/dx = 1 where n < v < p, else 0
//   dy/ds = n where v <= n; p where v >= p; rne(v) - v otherwise; times 1 / sqrt(N * p)
//   N = elements a scale stands for: of a weight all of its channel, of an activation those of one
//   sample s0 = 2 * mean(|x|) / sqrt(p), from the first weights or the first batch
#include "autograd/dequantize.h"
#include "autograd/ops/quantize.h"
#include "qat/rule.h"

namespace stair::qat {
namespace {

struct Rule {
  [[gnu::always_inline]] static RuleGradient backward(const RuleSample& a) {
    const float v = a.x / a.scale;
    const bool below = v <= a.qmin, above = v >= a.qmax;
    const float middle = std::nearbyint(v) - v;
    return {below || above ? 0.0F : 1.0F, below ? a.qmin : above ? a.qmax : middle};
  }
};

STAIR_VECTORIZED double span(const RuleSpan& s) {
  return rule_span<Rule>(s);
}

Dual forward(const RuleSample& a, double dx, double dscale) {
  const Dual x{a.x, dx}, scale{a.scale, dscale};
  return round_through(clamp_open(x / scale, a.qmin, a.qmax)) * scale;
}

RuleGradient backward(const RuleSample& a) {
  return Rule::backward(a);
}

class Lsq final : public Quantizer {
 public:
  Lsq(const QuantizationSpec& spec, int64_t channels, Activation activation)
      : Quantizer(spec, channels, activation) {
    scale_ = register_parameter("scale", Tensor::full<float>({channels}, 1.0F));
    zero_point_ = register_buffer("zero_point", Tensor::full<int32_t>({channels}, 0));
    initialised_ = register_buffer("initialised", Tensor::full<uint8_t>({1}, 0));
  }

  bool calibrated() const override { return initialised_.value().data<uint8_t>()[0] != 0; }

  QParams qparams(const Tensor&) const override {
    if (!calibrated())
      throw ConfigError("quantizer lsq: no batch was seen yet, so there is no scale",
                        "run a batch in training mode with the observers on first");
    const size_t channels = static_cast<size_t>(scale_.value().numel());
    QParams p{std::vector<float>(channels), std::vector<int32_t>(channels), spec().axis,
              spec().qmin, spec().qmax};
    for (size_t c = 0; c < channels; ++c) {
      p.scale[c] = std::max(scale_.value().data<float>()[c], kMinScale);
      p.zero_point[c] = zero_point_.value().data<int32_t>()[c];
    }
    return p;
  }

 private:
  // The initialisation is latched: later batches leave the scale to the optimizer.
  void observe(const Tensor& x) override {
    if (calibrated()) return;
    Quantizer::observe(x);
    const kernels::ChannelLayout layout = autograd::channel_layout(x.shape(), spec().axis);
    const Range range = activated_range(x);
    for (int64_t c = 0; c < layout.channels; ++c) {
      // Unsigned codes of a tensor with negative values: the middle of the range is zero.
      const bool centred = !spec().is_signed && range.min[static_cast<size_t>(c)] < 0;
      const int32_t zero = centred ? (spec().qmin + spec().qmax + 1) / 2 : 0;
      zero_point_.value().data<int32_t>()[c] = zero;
      const double p = spec().qmax - zero;
      const double mean = mean_magnitude(x.data<float>(), layout, c);
      scale_.value().data<float>()[c] =
          std::max(static_cast<float>(2 * mean / std::sqrt(p)), kMinScale);
    }
    initialised_.value().data<uint8_t>()[0] = 1;
  }

  double mean_magnitude(const float* x, const kernels::ChannelLayout& layout, int64_t c) const {
    double sum = 0;
    for (int64_t o = 0; o < layout.outer; ++o)
      for (int64_t i = 0; i < layout.inner; ++i) {
        const float v = x[(o * layout.channels + c) * layout.inner + i];
        sum += activation() == Activation::relu ? std::max(v, 0.0F) : std::abs(v);
      }
    return sum / static_cast<double>(std::max<int64_t>(layout.outer * layout.inner, 1));
  }

  Variable apply(const Variable& x, bool relu) const override {
    const QParams p = qparams(x.value());
    Tensor q;
    {
      autograd::NoGrad no_grad;
      q = autograd::quantize(x, p, spec().dtype(), relu).value();
    }
    const bool is_weight = spec().axis >= 0;
    const int64_t samples = is_weight || x.shape().rank() < 2 ? 1 : x.size(0);
    const double elements = static_cast<double>(x.value().numel()) / static_cast<double>(samples) /
                            static_cast<double>(p.scale.size());
    const float factor =
        static_cast<float>(1 / std::sqrt(std::max(elements, 1.0) * (p.qmax - p.zero_point[0])));
    return autograd::record(
        "lsq", {x, scale_}, q, [xv = x.value(), p, relu, factor](const Tensor& gy) {
          Tensor gx = Tensor::empty(xv.shape(), DType::f32);
          Tensor gs = Tensor::empty({static_cast<int64_t>(p.scale.size())}, DType::f32);
          run_rule(span, autograd::channel_layout(xv.shape(), p.axis), xv.data<float>(),
                   gy.data<float>(), p, relu, factor, gx.data<float>(), gs.data<float>());
          return std::vector<Tensor>{gx, gs};
        });
  }

  Variable scale_, zero_point_, initialised_;
};

std::shared_ptr<Quantizer> make(const QuantizationSpec& spec, int64_t channels,
                                Activation activation) {
  return std::make_shared<Lsq>(spec, channels, activation);
}

}  // namespace

const QuantizerDef quantizer_lsq{
    "lsq",
    "Esser et al., arXiv:1902.08153, equations 1 to 4; ours: N of a weight is one channel's "
    "elements when scales are per channel, and an "
    "activation with negative values gets a zero point in the middle of the unsigned range",
    "scale f32 [channels], float a step",
    make,
    forward,
    backward,
};

}  // namespace stair::qat
