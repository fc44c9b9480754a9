#include "qat/histogram.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <numeric>

#include "autograd/dequantize.h"
#include "core/parallel.h"
#include "qat/rule.h"

namespace stair::qat {
namespace {

constexpr int64_t kBins = HistogramObserver::kBins;
constexpr int64_t kGrain = 65536;  // elements a task
constexpr int64_t kUpsample = 16;

// Ranges up to here are worked out in float, as the reference does; wider ones would overflow.
constexpr float kWidestInFloat = 1e30F;

// Point i of `count` in equal steps from `start` to `end`, from the nearer end.
template <class T>
T linspace(T start, T end, int64_t count, int64_t i) {
  const T step = (end - start) / static_cast<T>(count - 1);
  return i < count / 2 ? start + step * static_cast<T>(i)
                       : end - step * static_cast<T>(count - i - 1);
}

struct Stretch {
  const float* x;
  int64_t n;
  bool relu;
  bool finite;  // all values are
};

// The bin of each value, all in [min, min + span]; kBins of those that are not finite.
template <class T>
[[gnu::always_inline]] inline void bins_of(const Stretch& s, T min, T span, uint16_t* bins) {
  const float least = s.relu ? 0 : -FLT_MAX;
  const auto bin_of = [&](float x) {
    const T at = (std::max(x, least) - min) * static_cast<T>(kBins) / span;
    return static_cast<uint16_t>(std::min(static_cast<int32_t>(at), int32_t{kBins - 1}));
  };
  if (s.finite) {
    for (int64_t i = 0; i < s.n; ++i) bins[i] = bin_of(s.x[i]);
    return;
  }
  for (int64_t i = 0; i < s.n; ++i) {
    const bool finite = std::abs(s.x[i]) <= FLT_MAX;
    bins[i] = finite ? bin_of(s.x[i]) : uint16_t{kBins};
  }
}
STAIR_VECTORIZED void bins_in_float(const Stretch& s, float min, float span, uint16_t* bins) {
  bins_of(s, min, span, bins);
}
void bins_in_double(const Stretch& s, double min, double span, uint16_t* bins) {
  bins_of(s, min, span, bins);
}

// Counts of the bins, and of what is not finite, several times: one count after another in the same
// place, as of the zeros of a ReLU, would wait for its memory.
constexpr int64_t kPlaces = 4, kStride = kBins + 1;

// Adds the finite values of a stretch to `counts`.
void count_stretch(const Stretch& s, float min, float max, uint32_t* counts) {
  constexpr int64_t kBlock = 512;
  uint16_t bins[kBlock];
  for (int64_t begin = 0; begin < s.n; begin += kBlock) {
    const Stretch part{s.x + begin, std::min(kBlock, s.n - begin), s.relu, s.finite};
    if (max / 2 - min / 2 < kWidestInFloat)
      bins_in_float(part, min, max - min, bins);
    else
      bins_in_double(part, min, static_cast<double>(max) - min, bins);
    int64_t i = 0;
    for (; i + kPlaces <= part.n; i += kPlaces)
      for (int64_t place = 0; place < kPlaces; ++place) ++counts[place * kStride + bins[i + place]];
    for (; i < part.n; ++i) ++counts[bins[i]];
  }
}

// The counts of the old range, in the bins of the new one.
template <class T>
std::vector<double> moved(const double* counts, T old_min, T old_max, T min, T max) {
  std::vector<T> borders(kBins + 1);
  for (int64_t i = 0; i <= kBins; ++i)
    borders[static_cast<size_t>(i)] = linspace(min, max, kBins + 1, i);
  std::vector<double> result(kBins);
  const T part = (old_max - old_min) / static_cast<T>(kBins * kUpsample);
  int64_t bin = 0;
  for (int64_t i = 0; i < kBins * kUpsample; ++i) {
    if (counts[i / kUpsample] == 0) continue;
    const T middle = linspace(old_min, old_max, kBins * kUpsample + 1, i) + T(0.5) * part;
    while (bin + 1 < kBins && borders[static_cast<size_t>(bin + 1)] <= middle) ++bin;
    result[static_cast<size_t>(bin)] += counts[i / kUpsample] / kUpsample;
  }
  return result;
}

// Counts of one channel. Whole numbers: the order of summing does not matter.
std::vector<double> count(const Observed& batch, const kernels::ChannelLayout& layout,
                          int64_t channel, float min, float max) {
  const int64_t pieces = (layout.inner + kGrain - 1) / kGrain;
  const int64_t tasks = std::min<int64_t>(layout.outer * pieces, num_threads());
  std::vector<std::vector<uint32_t>> parts(static_cast<size_t>(tasks));
  parallel_tasks(tasks, [&](int64_t task) {
    std::vector<uint32_t>& part = parts[static_cast<size_t>(task)];
    part.assign(kPlaces * kStride, 0);
    for (int64_t p = task; p < layout.outer * pieces; p += tasks) {
      const int64_t outer = p / pieces, begin = p % pieces * kGrain;
      const float* from =
          batch.x.data<float>() + (outer * layout.channels + channel) * layout.inner + begin;
      const int64_t n = std::min(kGrain, layout.inner - begin);
      count_stretch({from, n, batch.relu, batch.range.non_finite == 0}, min, max, part.data());
    }
  });
  std::vector<double> counts(kBins);
  for (const std::vector<uint32_t>& part : parts)
    for (int64_t place = 0; place < kPlaces; ++place)
      for (int64_t i = 0; i < kBins; ++i)
        counts[static_cast<size_t>(i)] += part[static_cast<size_t>(place * kStride + i)];
  return counts;
}

}  // namespace

double Histogram::total() const {
  return std::accumulate(counts.begin(), counts.end(), 0.0);
}

HistogramObserver::HistogramObserver(const QuantizationSpec& spec, int64_t channels)
    : Observer(spec, channels), histogram_(Tensor::zeros({channels, kBins}, DType::f64)) {}

std::vector<nn::NamedVariable> HistogramObserver::state() const {
  std::vector<nn::NamedVariable> all = Observer::state();
  all.push_back({"histogram", histogram_});
  return all;
}

void HistogramObserver::regrid(int64_t channel, float min, float max) {
  double* counts = histogram_.value().data<double>() + channel * kBins;
  const float old_min = min_val().value().data<float>()[channel];
  const float old_max = max_val().value().data<float>()[channel];
  if (old_min > old_max || (old_min == min && old_max == max)) return;
  const std::vector<double> now = max / 2 - min / 2 < kWidestInFloat
                                      ? moved<float>(counts, old_min, old_max, min, max)
                                      : moved<double>(counts, old_min, old_max, min, max);
  std::copy(now.begin(), now.end(), counts);
}

void HistogramObserver::observe(const Observed& batch) {
  const kernels::ChannelLayout layout = autograd::channel_layout(batch.x.shape(), spec().axis);
  for (int64_t c = 0; c < layout.channels; ++c) {
    const float low = batch.range.min[static_cast<size_t>(c)];
    const float high = batch.range.max[static_cast<size_t>(c)];
    if (low > high) continue;
    const float min = std::min(min_val().value().data<float>()[c], low);
    const float max = std::max(max_val().value().data<float>()[c], high);
    regrid(c, min, max);
    // A constant lies in the middle of a range of its own.
    const std::vector<double> added =
        min < max ? count(batch, layout, c, min, max) : count(batch, layout, c, min - 1, max + 1);
    double* counts = histogram_.value().data<double>() + c * kBins;
    for (size_t i = 0; i < added.size(); ++i) counts[i] += added[i];
  }
  widen(batch.range);
}

std::pair<float, float> HistogramObserver::clip(int64_t channel) const {
  const float min = min_val().value().data<float>()[channel];
  const float max = max_val().value().data<float>()[channel];
  if (!(min < max)) return {min, max};
  const double* counts = histogram_.value().data<double>() + channel * kBins;
  const auto [low, high] = choose({{counts, static_cast<size_t>(kBins)}, min, max});
  return {static_cast<float>(low), static_cast<float>(high)};
}

QParams HistogramObserver::qparams() const {
  const double* counts = histogram_.value().data<double>();
  const size_t size = static_cast<size_t>(histogram_.value().numel());
  std::vector<double> now(counts, counts + size);
  for (const autograd::Variable& edge : {min_val(), max_val()})
    now.insert(now.end(), edge.value().data<float>(),
               edge.value().data<float>() + edge.value().numel());
  if (now == chosen_for_) return chosen_;
  const int64_t channels = histogram_.size(0);
  std::vector<float> low(static_cast<size_t>(channels)), high(static_cast<size_t>(channels));
  parallel_tasks(channels, [&](int64_t c) {
    std::tie(low[static_cast<size_t>(c)], high[static_cast<size_t>(c)]) = clip(c);
  });
  chosen_ = qparams_of(low, high, spec());
  chosen_for_ = std::move(now);
  return chosen_;
}

}  // namespace stair::qat
