// DoReFa: weights through tanh onto a uniform grid, activations clipped to [0, 1].
//
//   weights, k bits, m = max |w| of the channel:
//     t = tanh(w) / tanh(m);  y = m * (2 * Q(t / 2 + 1/2) - 1), Q onto multiples of 1 / (2^k - 1)
//     dy/dw = m * (1 - tanh(w)^2) / tanh(m); m is a constant
//   activations after a ReLU, below 8 bits: y = Q(clamp(x, 0, 1)); dy/dx = 1 inside, else 0
//   other activations: as `ste`, with the range of an observer
// The grid of weights has no zero: its codes are the odd numbers from -(2^k - 1) to 2^k - 1. From 7
// bits on they would not fit 8-bit integers; then the grid is that of all codes up to 2^(k-1) - 1.
#include <algorithm>

#include "autograd/dequantize.h"
#include "autograd/ops/quantize.h"
#include "qat/rule.h"

namespace stair::qat {
namespace {

constexpr int kMostOddBits = 6;

// Of weights: the code before rounding, from -qmax to qmax. The grid is odd when the range is even
// on both sides.
template <class T>
T unrounded(T x, T scale, T qmax) {
  const T t = std::tanh(x) / std::tanh(scale * qmax);
  return std::clamp(t, T(-1), T(1)) * qmax;
}
template <class T>
T rounded(T v, bool odd, T qmax) {
  return odd ? 2 * std::nearbyint((v + qmax) / 2) - qmax : std::nearbyint(v);
}
bool is_odd(float qmin, float qmax) {
  return qmin == -qmax;
}

struct Rule {
  static RuleGradient backward(const RuleSample& a) {
    if (a.qmin >= 0) {
      const float v = a.x * (1.0F / a.scale);
      return {v >= a.qmin && v <= a.qmax ? 1.0F : 0.0F, 0.0F};
    }
    const float m = a.scale * a.qmax, c = std::cosh(a.x);
    return {std::abs(a.x) <= m ? m / (c * c * std::tanh(m)) : 0.0F, 0.0F};
  }
};

RuleSums span(const RuleSpan& s) {
  return rule_span<Rule>(s);
}

Dual forward(const RuleSample& a, double dx, double) {
  const Dual scale{a.scale, 0};
  if (a.qmin >= 0)
    return round_through(clamp_closed(Dual{a.x, dx} / scale, a.qmin, a.qmax)) * scale;
  const float m = a.scale * a.qmax;
  const double t = std::tanh(static_cast<double>(a.x)), most = std::tanh(static_cast<double>(m));
  const double code =
      rounded<double>(unrounded<double>(a.x, a.scale, a.qmax), is_odd(a.qmin, a.qmax), a.qmax);
  return Dual{code, std::abs(a.x) <= m ? a.qmax * (1 - t * t) / most * dx : 0} * scale;
}

RuleGradient backward(const RuleSample& a) {
  return Rule::backward(a);
}

class Dorefa final : public Quantizer {
 public:
  using Quantizer::Quantizer;

  QParams qparams(const autograd::Deferred& x) const override {
    QParams p = Quantizer::qparams(x);
    if (spec().is_weight) {
      const float steps = static_cast<float>(spec().qmax - spec().qmin) / 2;
      const bool odd = spec().bits <= kMostOddBits;
      p.qmax = odd ? (1 << spec().bits) - 1 : spec().qmax;
      p.qmin = odd ? -p.qmax : spec().qmin;
      for (float& scale : p.scale)
        scale = std::max(scale * steps / static_cast<float>(p.qmax), kMinScale);
    } else if (ends_at_one()) {
      p.scale[0] = 1 / static_cast<float>(spec().qmax);
      p.zero_point[0] = 0;
    }
    return p;
  }

 private:
  bool ends_at_one() const {
    return !spec().is_weight && activation() == Activation::relu && spec().bits < 8;
  }
  Variable apply(const Variable& x, bool relu) const override {
    const QParams p = qparams(x.deferred());
    if (!spec().is_weight) {
      const Variable q =
          autograd::quantize(ends_at_one() ? x.detach() : x, p, spec().dtype(), relu);
      return ends_at_one() ? record_rule("dorefa", x, q.value(), span, p, relu) : q;
    }
    const kernels::ChannelLayout layout = autograd::channel_layout(x.shape(), p.axis);
    const float qmax = static_cast<float>(p.qmax);
    const bool odd = is_odd(static_cast<float>(p.qmin), qmax);
    Tensor q = Tensor::empty(x.shape(), spec().dtype());
    parallel_for(x.value().numel(), 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const size_t c = static_cast<size_t>(i / layout.inner % layout.channels);
        const float v = unrounded(x.value().data<float>()[i], p.scale[c], qmax);
        q.data<int8_t>()[i] =
            std::isnan(v) ? int8_t{0} : static_cast<int8_t>(rounded(v, odd, qmax));
      }
    });
    return record_rule("dorefa", x, q.with_qparams(p), span, p, relu);
  }
};

std::shared_ptr<Quantizer> make(const QuantizationSpec& spec, int64_t channels,
                                Activation activation) {
  return std::make_shared<Dorefa>(spec, channels, activation);
}

}  // namespace

const QuantizerDef quantizer_dorefa{
    "dorefa",
    "Zhou et al., arXiv:1606.06160, equations 7 to 10; ours: weights keep their magnitude m, so "
    "that batch norm folds, and m is one a channel where scales are",
    "none",
    make,
    forward,
    backward,
};

}  // namespace stair::qat
