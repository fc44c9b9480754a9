#include "qat/observer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "autograd/dequantize.h"
#include "core/text.h"
#include "kernels/reduce/reduce.h"

namespace stair::qat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

int32_t middle(const QuantizationSpec& spec) {
  if (spec.is_signed) return 0;
  return spec.qmin == 0 && spec.qmax == 255 ? 128 : (spec.qmin + spec.qmax) / 2;
}

Range range_of_pieces(const autograd::Deferred& x) {
  if (x.pixels() != nullptr) {
    const auto [min, max] = x.pixels()->range();
    return {{min}, {max}, 0};
  }
  Range range{{kInfinity}, {-kInfinity}, 0};
  std::mutex mutex;
  x.for_pieces([&](int64_t, std::span<float> values) {
    float min, max;
    int64_t non_finite;
    kernels::run<kernels::MinMax<float>>(
        {{1, 1, std::ssize(values)}, values.data(), &min, &max, &non_finite});
    const std::lock_guard lock(mutex);
    range.min[0] = std::min(range.min[0], min);
    range.max[0] = std::max(range.max[0], max);
    range.non_finite += non_finite;
  });
  return range;
}

}  // namespace

Range range_of(const autograd::Deferred& deferred, int axis) {
  if (deferred.in_pieces() && axis < 0) return range_of_pieces(deferred);
  const Tensor& x = deferred.whole();
  const kernels::ChannelLayout layout = autograd::channel_layout(x.shape(), axis);
  const size_t channels = static_cast<size_t>(layout.channels);
  Range range{std::vector<float>(channels), std::vector<float>(channels), 0};
  kernels::run<kernels::MinMax<float>>(
      {layout, x.data<float>(), range.min.data(), range.max.data(), &range.non_finite});
  return range;
}

QParams qparams_of(const std::vector<float>& min, const std::vector<float>& max,
                   const QuantizationSpec& spec) {
  QParams p{std::vector<float>(min.size()), std::vector<int32_t>(min.size()), spec.axis, spec.qmin,
            spec.qmax};
  const float steps = static_cast<float>(spec.qmax - spec.qmin);
  for (size_t c = 0; c < min.size(); ++c) {
    const float low = std::min(min[c], 0.0F), high = std::max(max[c], 0.0F);
    if (spec.symmetric) {
      p.scale[c] = std::max(std::max(-low, high) / (steps / 2), spec.eps);
      p.zero_point[c] = middle(spec);
    } else {
      const float width = high - low;
      const float scale = std::isfinite(width) ? width / steps : high / steps - low / steps;
      p.scale[c] = std::max(scale, spec.eps);
      // Past 2^24 the quotient of a subnormal range would leave int; the clamp comes first.
      const float shift = std::clamp(std::nearbyint(low / p.scale[c]), -65536.0F, 65536.0F);
      p.zero_point[c] = std::clamp(spec.qmin - static_cast<int32_t>(shift), spec.qmin, spec.qmax);
    }
  }
  return p;
}

Observer::Observer(const QuantizationSpec& spec, int64_t channels)
    : spec_(spec),
      min_(Tensor::full<float>({channels}, kInfinity)),
      max_(Tensor::full<float>({channels}, -kInfinity)) {}

bool Observer::calibrated() const {
  for (int64_t i = 0; i < min_.size(0); ++i)
    if (min_.value().data<float>()[i] <= max_.value().data<float>()[i]) return true;
  return false;
}

QParams Observer::qparams() const {
  const float* min = min_.value().data<float>();
  const float* max = max_.value().data<float>();
  return qparams_of({min, min + min_.size(0)}, {max, max + max_.size(0)}, spec_);
}

std::vector<nn::NamedVariable> Observer::state() const {
  return {{"min_val", min_}, {"max_val", max_}};
}

void Observer::widen(const Range& batch) {
  float* min = min_.value().data<float>();
  float* max = max_.value().data<float>();
  for (size_t i = 0; i < batch.min.size(); ++i) {
    min[i] = std::min(min[i], batch.min[i]);
    max[i] = std::max(max[i], batch.max[i]);
  }
}

std::span<const ObserverDef* const> observers() {
  static const ObserverDef* const table[] = {
#define STAIR_OBSERVER_FILE(stem) &observer_##stem,
#include "observer_files.inc"
#undef STAIR_OBSERVER_FILE
  };
  return table;
}

const ObserverDef& find_observer(const std::string& name) {
  std::vector<std::string> names;
  for (const ObserverDef* def : observers()) {
    if (def->name == name) return *def;
    names.emplace_back(def->name);
  }
  throw ConfigError(
      str("quantization: no observer is called '", name, "'"),
      str("did you mean '", nearest(name, names), "'? there are ", join(names, ", ")));
}

std::unique_ptr<Observer> make_observer(const QuantizationSpec& spec, int64_t channels) {
  return find_observer(spec.observer).make(spec, channels);
}

}  // namespace stair::qat
