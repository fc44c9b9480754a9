#include "qat/learned_quantizer.h"

#include <algorithm>
#include <cmath>

#include "autograd/dequantize.h"
#include "autograd/ops/quantize.h"
#include "autograd/recompute.h"

namespace stair::qat {
namespace {

// The activated, finite values of a channel.
std::vector<float> values_of(const Tensor& x, const kernels::ChannelLayout& layout, int64_t c,
                             bool relu) {
  std::vector<float> values;
  values.reserve(static_cast<size_t>(layout.outer * layout.inner));
  const float* data = x.data<float>();
  for (int64_t o = 0; o < layout.outer; ++o)
    for (int64_t i = 0; i < layout.inner; ++i) {
      const float v = data[(o * layout.channels + c) * layout.inner + i];
      if (std::isfinite(v)) values.push_back(relu ? std::max(v, 0.0F) : v);
    }
  return values;
}

}  // namespace

LearnedQuantizer::LearnedQuantizer(const QuantizationSpec& spec, int64_t channels,
                                   Activation activation, const LearnedRule& rule)
    : Quantizer(spec, channels, activation), rule_(rule) {
  parameter_ = register_parameter(rule.parameter, Tensor::full<float>({channels}, 1.0F));
  if (rule.learns_offset)
    offset_ = register_parameter("offset", Tensor::full<float>({channels}, 0.0F));
  else
    zero_point_ = register_buffer("zero_point", Tensor::full<int32_t>({channels}, 0));
  initialised_ = register_buffer("initialised", Tensor::full<uint8_t>({1}, 0));
}

float LearnedQuantizer::scale_of(float parameter, float) const {
  return std::max(parameter, kMinScale);
}

double LearnedQuantizer::gradient_scale(double elements, double p) const {
  return 1 / std::sqrt(elements * p);
}

QParams LearnedQuantizer::qparams(const autograd::Deferred&) const {
  if (!calibrated())
    throw ConfigError(
        str("quantizer ", spec().quantizer, ": no batch was seen yet, so there is no scale"),
        "run a batch in training mode with the observers on first");
  const size_t channels = static_cast<size_t>(parameter_.value().numel());
  const auto [qmin, qmax] = codes();
  QParams q{std::vector<float>(channels), std::vector<int32_t>(channels), spec().axis, qmin, qmax};
  for (size_t c = 0; c < channels; ++c) {
    const float parameter = parameter_.value().data<float>()[c];
    if (rule_.learns_offset) {
      q.scale[c] = scale_of(parameter, static_cast<float>(qmax - qmin));
      const float zero = static_cast<float>(qmin) - offset_.value().data<float>()[c] / q.scale[c];
      q.zero_point[c] = static_cast<int32_t>(
          std::clamp(std::nearbyint(zero), static_cast<float>(qmin), static_cast<float>(qmax)));
    } else {
      q.zero_point[c] = zero_point_.value().data<int32_t>()[c];
      q.scale[c] = scale_of(parameter, static_cast<float>(qmax - q.zero_point[c]));
    }
  }
  return q;
}

void LearnedQuantizer::initialise(int64_t channel, std::vector<float> values, float min) {
  const auto [qmin, qmax] = codes();
  int32_t zero = 0;
  if (rule_.learns_offset) {
    const float offset = std::min(min, 0.0F);
    for (float& v : values) v -= offset;
    offset_.value().data<float>()[channel] = offset;
    zero = qmin;
  } else {
    if (!spec().is_signed && min < 0) zero = (qmin + qmax + 1) / 2;
    zero_point_.value().data<int32_t>()[channel] = zero;
  }
  parameter_.value().data<float>()[channel] = static_cast<float>(initial(values, qmax - zero));
}

void LearnedQuantizer::observe(const autograd::Deferred& deferred) {
  if (calibrated()) return;
  const Tensor& x = deferred.whole();
  Quantizer::observe(x);
  const kernels::ChannelLayout layout = autograd::channel_layout(x.shape(), spec().axis);
  const Range range = activated_range(x);
  for (int64_t c = 0; c < layout.channels; ++c)
    initialise(c, values_of(x, layout, c, activation() == Activation::relu),
               range.min[static_cast<size_t>(c)]);
  initialised_.value().data<uint8_t>()[0] = 1;
}

Tensor LearnedQuantizer::quantized(const Variable& x, const QParams& p, bool relu) const {
  return autograd::quantize(x, p, spec().dtype(), relu).value();
}

double LearnedQuantizer::elements_per_scale(const Shape& x) const {
  const int64_t samples = spec().is_weight || x.rank() < 2 ? 1 : x[0];
  const double elements = static_cast<double>(x.numel()) / static_cast<double>(samples) /
                          static_cast<double>(parameter_.value().numel());
  return std::max(elements, 1.0);
}

Variable LearnedQuantizer::apply(const Variable& x, bool relu) const {
  const QParams q = qparams(x.deferred());
  Tensor y;
  {
    autograd::NoGrad no_grad;
    y = quantized(x, q, relu);
  }
  std::vector<float> factors, slopes;
  for (size_t c = 0; c < q.scale.size(); ++c) {
    const float p =
        static_cast<float>(rule_.learns_offset ? q.qmax - q.qmin : q.qmax - q.zero_point[c]);
    factors.push_back(static_cast<float>(gradient_scale(elements_per_scale(x.shape()), p)));
    slopes.push_back(slope_of(q.scale[c], p));
  }
  std::vector<Variable> inputs{x, parameter_};
  if (rule_.learns_offset) inputs.push_back(offset_);
  return autograd::record(rule_.name, std::move(inputs), y,
                          [rule = rule_, kept = autograd::Kept(x), watch = x.watch(), q, relu,
                           factors, slopes](const Tensor& gy) {
                            const autograd::Deferred xv = kept.deferred();
                            const int64_t channels = static_cast<int64_t>(q.scale.size());
                            std::vector<Tensor> gradients{Tensor::empty(xv.shape(), DType::f32),
                                                          Tensor::empty({channels}, DType::f32)};
                            if (rule.learns_offset)
                              gradients.push_back(Tensor::empty({channels}, DType::f32));
                            const std::vector<RuleSums> sums =
                                run_rule({rule.span, q, relu}, xv, gy, gradients[0], watch.get());
                            for (int64_t c = 0; c < channels; ++c) {
                              const size_t i = static_cast<size_t>(c);
                              gradients[1].data<float>()[c] =
                                  factors[i] * static_cast<float>(sums[i].scale) * slopes[i];
                              if (rule.learns_offset)
                                gradients[2].data<float>()[c] =
                                    factors[i] * static_cast<float>(sums[i].offset);
                            }
                            return gradients;
                          });
}

double least_squares_scale(std::span<const float> values, double n, double p) {
  constexpr size_t kMostValues = 65536;
  const size_t stride = std::max<size_t>(1, values.size() / kMostValues);
  double widest = 0;
  for (float v : values) widest = std::max(widest, v < 0 ? v / std::min(n, -1.0) : v / p);
  double best_scale = std::max<double>(widest, kMinScale), least = HUGE_VAL;
  for (int shrink = 100; shrink >= 5; --shrink) {
    const double scale = std::max<double>(widest * shrink / 100, kMinScale);
    double error = 0;
    for (size_t i = 0; i < values.size(); i += stride) {
      const double q = std::clamp(std::nearbyint(values[i] / scale), n, p);
      error += (values[i] - q * scale) * (values[i] - q * scale);
    }
    if (error < least) {
      least = error;
      best_scale = scale;
    }
  }
  return best_scale;
}

double mean_scale(std::span<const float> values, double p) {
  double sum = 0;
  for (float v : values) sum += std::abs(v);
  return 2 * (sum / std::max<double>(static_cast<double>(values.size()), 1)) / std::sqrt(p);
}

Moments moments_of(std::span<const float> values) {
  Moments m;
  const double n = std::max<double>(1, static_cast<double>(values.size()));
  for (float v : values) m.mean += v / n;
  for (float v : values) m.deviation += (v - m.mean) * (v - m.mean) / n;
  m.deviation = std::sqrt(m.deviation);
  return m;
}

}  // namespace stair::qat
