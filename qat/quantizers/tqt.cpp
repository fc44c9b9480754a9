// TQT, trained quantization thresholds: power-of-two scales from a learned log2 of the threshold.
//
//   s = 2^ceil(log2 t) / (p + 1), p the highest code from the zero point: 2^(bits - 1) signed,
//   2^bits unsigned
//   y = clamp(rne(x / s), n, p) * s
//   dy/dx = 1 where n <= rne(x / s) <= p, else 0
//   dy/dlog2_t = s * ln 2 * (rne(x / s) - x / s inside; n below; p above), straight through ceil;
//   times 1 / sqrt(N * p), so that one learning rate fits every tensor
// Start of t: "3sd" |mean| + 3 sd, the default of weights; "kl_j", the default of activations,
// least J divergence between the distribution and its quantized form; "max" the largest magnitude.
#include <algorithm>
#include <numbers>
#include <vector>

#include "qat/learned_quantizer.h"

namespace stair::qat {
namespace {

struct Rule {
  [[gnu::always_inline]] static RuleGradient backward(const RuleSample& a) {
    const float v = a.x * (1.0F / a.scale), q = std::nearbyint(v);
    const bool below = q<a.qmin, above = q> a.qmax;
    return {below || above ? 0.0F : 1.0F, below ? a.qmin : above ? a.qmax : q - v};
  }
};

STAIR_VECTORIZED RuleSums span(const RuleSpan& s) {
  return rule_span<Rule>(s);
}

Dual forward(const RuleSample& a, double dx, double dscale) {
  const Dual x{a.x, dx}, scale{a.scale, dscale};
  return clamp_closed(round_through(x / scale), a.qmin, a.qmax) * scale;
}

RuleGradient backward(const RuleSample& a) {
  return Rule::backward(a);
}

double largest(std::span<const float> values) {
  double most = 0;
  for (float v : values) most = std::max<double>(most, std::abs(v));
  return most;
}

// Distribution function of |values| over sqrt(N) bins up to `most`.
std::vector<double> distribution(std::span<const float> values, double most) {
  const double n = static_cast<double>(values.size());
  const size_t bins = static_cast<size_t>(std::ceil(std::sqrt(n)));
  std::vector<double> cdf(bins);
  for (float v : values) {
    const double place = std::abs(static_cast<double>(v)) / most * static_cast<double>(bins);
    cdf[std::min(static_cast<size_t>(place), bins - 1)] += 1 / n;
  }
  for (size_t i = 1; i < bins; ++i) cdf[i] += cdf[i - 1];
  return cdf;
}

// `y` over [0, 1] in equal steps, read at `count` points in equal steps.
std::vector<double> resampled(std::span<const double> y, size_t count) {
  std::vector<double> out(count);
  for (size_t i = 0; i < count; ++i) {
    const double place =
        static_cast<double>(i) * static_cast<double>(y.size() - 1) / static_cast<double>(count - 1);
    const size_t left = std::min(static_cast<size_t>(place), y.size() - 2);
    out[i] = y[left] + (y[left + 1] - y[left]) * (place - static_cast<double>(left));
  }
  return out;
}

// Settle et al., arXiv:1805.07941, algorithm 1, with `levels` codes of one sign.
double kl_j_threshold(std::span<const float> values, size_t levels) {
  const double most = largest(values);
  if (!(most > 0)) return most;
  const std::vector<double> cdf = distribution(values, most);
  double least = HUGE_VAL, best = most;
  for (size_t kept = levels + 1; kept <= cdf.size(); ++kept) {
    std::vector<double> clipped(cdf.begin(), cdf.begin() + static_cast<int64_t>(kept));
    clipped.back() = 1;
    const std::vector<double> q = resampled(resampled(clipped, levels), kept);
    double divergence = 0;
    for (size_t i = 0; i < cdf.size(); ++i) {
      const double other = i < kept ? q[i] : 1;
      if (cdf[i] > 0 && other > 0) divergence += (cdf[i] - other) * std::log2(cdf[i] / other);
    }
    if (divergence < least) {
      least = divergence;
      best = (static_cast<double>(kept) + 0.5) * most / static_cast<double>(cdf.size());
    }
  }
  return best;
}

class Tqt final : public LearnedQuantizer {
 public:
  Tqt(const QuantizationSpec& spec, int64_t channels, Activation activation)
      : LearnedQuantizer(spec, channels, activation, {"tqt", "log2_t", span}) {}

 private:
  double initial(std::span<const float> values, double p) const override {
    const std::string method = !spec().init.empty() ? spec().init
                               : spec().is_weight   ? "3sd"
                                                    : "kl_j";
    double threshold = 0;
    if (method == "3sd") {
      const Moments m = moments_of(values);
      threshold = std::abs(m.mean) + 3 * m.deviation;
    } else if (method == "kl_j") {
      threshold = kl_j_threshold(values, static_cast<size_t>(p) + 1);
    } else {
      threshold = largest(values);
    }
    return std::log2(std::max<double>(threshold, kMinScale * (p + 1)));
  }
  float scale_of(float log2_t, float p) const override {
    return std::max(std::exp2(std::ceil(log2_t)) / (p + 1), kMinScale);
  }
  float slope_of(float scale, float) const override { return scale * std::numbers::ln2_v<float>; }
};

std::shared_ptr<Quantizer> make(const QuantizationSpec& spec, int64_t channels,
                                Activation activation) {
  return std::make_shared<Tqt>(spec, channels, activation);
}

}  // namespace

const QuantizerDef quantizer_tqt{
    "tqt",
    "Jain et al., arXiv:1903.08066; ours: also per channel, and an activation with negative values "
    "gets a zero point in the middle of the unsigned range",
    "log2_t f32 [channels], log2 of the threshold",
    make,
    forward,
    backward,
    "3sd, kl_j, max",
};

}  // namespace stair::qat
