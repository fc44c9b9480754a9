// The range of least Kullback-Leibler divergence between the magnitudes, the tail moved into the
// last bin kept, and their quantized form. Source: Migacz, "8-bit inference with TensorRT" (2017);
// NVIDIA Model-Optimizer, _compute_amax_entropy: 128 to 2048 bins kept, the count of the first bin
// (the zeros of a ReLU) replaced by that of the second, the last of equal minima.
#include <algorithm>
#include <cmath>

#include "qat/histogram.h"

namespace stair::qat {
namespace {

constexpr size_t kLeastKept = 128;

// Counts of magnitudes in equal bins up to the largest one.
std::vector<double> magnitudes(const Histogram& h, double largest) {
  std::vector<double> folded(h.counts.size());
  const double bins = static_cast<double>(folded.size());
  for (size_t i = 0; i < h.counts.size(); ++i) {
    const double place = std::abs(h.centre(i)) / largest * bins;
    folded[std::min(static_cast<size_t>(place), folded.size() - 1)] += h.counts[i];
  }
  folded[0] = folded[1];
  return folded;
}

// Of the first `kept` bins, quantized to `levels`; `tail` is the count of the others.
double divergence(std::span<const double> counts, size_t kept, size_t levels, double tail) {
  const double step = static_cast<double>(kept) / static_cast<double>(levels);
  double before = tail, after = 0;
  for (size_t i = 0; i < kept; ++i) before += counts[i];
  after = before - tail;
  if (!(after > 0)) return HUGE_VAL;
  double sum = 0;
  for (size_t level = 0, i = 0; level < levels; ++level) {
    const size_t first = i;
    double inside = 0, used = 0;
    for (; i < kept && (static_cast<double>(i) < static_cast<double>(level + 1) * step); ++i) {
      inside += counts[i];
      used += counts[i] > 0 ? 1 : 0;
    }
    for (size_t j = first; j < i; ++j) {
      const double p = (counts[j] + (j + 1 == kept ? tail : 0)) / before;
      if (p == 0) continue;
      if (counts[j] == 0) return HUGE_VAL;
      sum += p * std::log(p / (inside / used / after));
    }
  }
  return sum;
}

class Entropy final : public HistogramObserver {
 public:
  using HistogramObserver::HistogramObserver;

 private:
  std::pair<double, double> choose(const Histogram& h) const override {
    const double largest = std::max(std::abs(h.min), std::abs(h.max));
    const std::vector<double> counts = magnitudes(h, largest);
    const size_t codes = static_cast<size_t>(spec().qmax - spec().qmin + 1);
    const size_t levels = h.min >= 0 && !spec().symmetric ? codes : codes / 2;
    double tail = 0, least = HUGE_VAL;
    size_t best = counts.size();
    for (size_t kept = counts.size(); kept >= kLeastKept; --kept) {
      const double found = divergence(counts, kept, levels, tail);
      if (found < least) {
        least = found;
        best = kept;
      }
      tail += counts[kept - 1];
    }
    const double most = largest * static_cast<double>(best) / static_cast<double>(counts.size());
    return {std::max(h.min, -most), std::min(h.max, most)};
  }
};

std::unique_ptr<Observer> make(const QuantizationSpec& spec, int64_t channels) {
  return std::make_unique<Entropy>(spec, channels);
}

}  // namespace

const ObserverDef observer_entropy{
    "entropy", "2048 bins; least Kullback-Leibler divergence of the quantized magnitudes", true,
    make};

}  // namespace stair::qat
