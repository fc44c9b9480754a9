// APoT, additive powers of two: levels that are sums of powers of two, dense around zero.
//
//   y = alpha * nearest level of x / alpha; levels below
//   dy/dalpha = sign(x) outside, (y - x) / alpha inside; times 1 / sqrt(N * p)
//   dy/dx = 1; of unsigned levels 0 outside;  alpha0 = |mean| + 3 sd
// With B bits of magnitude (bits, less one of signed codes) and n = B / 2 (rounded down), term j of
// n takes {0, 2^-(n i + j + 1)}, i = 0, 1, 2; for odd B the last of them moves down by one place
// and one more term takes {0, 2^-(2 n + 1)}. In units of the smallest power the levels are
// integers: weights with up to 5 magnitude bits deploy as 8-bit codes. A requantization cannot
// round to such levels, so activations, and weights of 7 bits, are simulated. 8 bits are uniform,
// as LSQ.
#include <algorithm>
#include <array>
#include <vector>

#include "autograd/dequantize.h"
#include "autograd/ops/quantize.h"
#include "qat/learned_quantizer.h"

namespace stair::qat {
namespace {

// In units of the smallest power, in rising order.
std::vector<float> make_levels(int magnitude_bits) {
  const int n = magnitude_bits / 2;
  const bool odd = magnitude_bits % 2 == 1;
  const int smallest = odd ? 3 * n + 1 : 3 * n;
  std::vector<float> levels{0};
  const auto add_term = [&](const std::vector<int>& exponents) {
    std::vector<float> sums = levels;
    for (int exponent : exponents)
      for (float level : levels) sums.push_back(level + std::exp2(smallest - exponent));
    levels = sums;
  };
  for (int j = 1; j <= n; ++j) add_term({j, n + j, 2 * n + j + (odd ? 1 : 0)});
  if (odd) add_term({2 * n + 1});
  std::sort(levels.begin(), levels.end());
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  return levels;
}

// By bits of magnitude.
const std::vector<float>& levels_of(int magnitude_bits) {
  static const auto kTable = [] {
    std::array<std::vector<float>, 8> table;
    for (int bits = 1; bits < 8; ++bits) table[static_cast<size_t>(bits)] = make_levels(bits);
    return table;
  }();
  return kTable[static_cast<size_t>(magnitude_bits)];
}

// The levels whose highest is qmax; null for uniform codes.
const std::vector<float>* levels_up_to(float qmax) {
  for (int bits = 2; bits < 8; ++bits)
    if (levels_of(bits).back() == qmax) return &levels_of(bits);
  return nullptr;
}

// The level nearest to v; of two that are equally near the lower one in magnitude.
float project(float v, const std::vector<float>& levels) {
  const float size = std::abs(v);
  const auto above = std::lower_bound(levels.begin(), levels.end(), size);
  if (above == levels.begin()) return 0;
  if (above == levels.end()) return std::copysign(levels.back(), v);
  const float low = *(above - 1), high = *above;
  return std::copysign(size - low <= high - size ? low : high, v);
}

float rounded(float v, float qmin, float qmax) {
  const std::vector<float>* levels = levels_up_to(qmax);
  return levels ? project(v, *levels) : std::nearbyint(std::clamp(v, qmin, qmax));
}

struct Rule {
  static RuleGradient backward(const RuleSample& a) {
    const float v = a.x / a.scale;
    const bool levels = levels_up_to(a.qmax) != nullptr;
    const bool below = v <= a.qmin, above = v >= a.qmax;
    const bool passes = (levels && a.qmin < 0) || !(below || above);
    const float middle = rounded(v, a.qmin, a.qmax) - v;
    return {passes ? 1.0F : 0.0F, below ? a.qmin : above ? a.qmax : middle};
  }
};

RuleSums span(const RuleSpan& s) {
  return rule_span<Rule>(s);
}

Dual forward(const RuleSample& a, double dx, double dscale) {
  const Dual scale{a.scale, dscale}, v = clamp_open(Dual{a.x, dx} / scale, a.qmin, a.qmax);
  const float code = rounded(static_cast<float>(v.value), a.qmin, a.qmax);
  return Dual{code, v.derivative} * scale;
}

RuleGradient backward(const RuleSample& a) {
  return Rule::backward(a);
}

class Apot final : public LearnedQuantizer {
 public:
  Apot(const QuantizationSpec& spec, int64_t channels, Activation activation)
      : LearnedQuantizer(spec, channels, activation, {"apot", "alpha", span}) {}

  std::string simulated() const override {
    if (spec().bits == 8) return "";
    if (!spec().is_weight) return "apot levels of activations are no multiples of one step";
    if (codes().second > 127)
      return str("apot levels of ", spec().bits, " bits reach ", codes().second, " steps");
    return "";
  }

 private:
  std::pair<int32_t, int32_t> codes() const override {
    if (spec().bits == 8) return {spec().qmin, spec().qmax};
    const bool both = spec().is_signed || activation() == Activation::none;
    const auto most = static_cast<int32_t>(levels_of(spec().bits - (both ? 1 : 0)).back());
    return {both ? -most : 0, most};
  }
  double initial(std::span<const float> values, double) const override {
    const Moments m = moments_of(values);
    return std::abs(m.mean) + 3 * m.deviation;
  }
  float scale_of(float alpha, float p) const override { return std::max(alpha / p, kMinScale); }
  float slope_of(float, float p) const override { return 1 / p; }

  Tensor quantized(const Variable& x, const QParams& p, bool relu) const override {
    if (spec().bits == 8) return autograd::quantize(x, p, spec().dtype(), relu).value();
    const bool real = !simulated().empty();
    const kernels::ChannelLayout layout = autograd::channel_layout(x.shape(), p.axis);
    const float* from = x.value().data<float>();
    Tensor q = Tensor::empty(x.shape(), real ? DType::f32 : DType::s8);
    parallel_for(x.value().numel(), 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const size_t c = static_cast<size_t>(i / layout.inner % layout.channels);
        const bool cut = std::isnan(from[i]) || (relu && from[i] < 0);
        const float qmin = static_cast<float>(p.qmin), qmax = static_cast<float>(p.qmax);
        const float level = cut ? 0.0F : rounded(from[i] / p.scale[c], qmin, qmax);
        if (real)
          q.data<float>()[i] = level * p.scale[c];
        else
          q.data<int8_t>()[i] = static_cast<int8_t>(level);
      }
    });
    return real ? q : q.with_qparams(p);
  }
};

std::shared_ptr<Quantizer> make(const QuantizationSpec& spec, int64_t channels,
                                Activation activation) {
  return std::make_shared<Apot>(spec, channels, activation);
}

}  // namespace

const QuantizerDef quantizer_apot{
    "apot",
    "Li et al., arXiv:1909.13144; levels as in the authors' code; ours: instead of normalized "
    "weights a learned clip a channel, and a gradient scale for it",
    "alpha f32 [channels], float",
    make,
    forward,
    backward,
};

}  // namespace stair::qat
