#include <algorithm>

#include "qat/histogram.h"

namespace stair::qat {
namespace {

// The value below which `share` of the counts lie, linear within a bin.
double quantile(const Histogram& h, double share) {
  const double wanted = share * h.total();
  double below = 0;
  for (size_t bin = 0; bin < h.counts.size(); ++bin) {
    if (h.counts[bin] > 0 && below + h.counts[bin] >= wanted)
      return h.min + (static_cast<double>(bin) + (wanted - below) / h.counts[bin]) * h.width();
    below += h.counts[bin];
  }
  return h.max;
}

class Percentile final : public HistogramObserver {
 public:
  using HistogramObserver::HistogramObserver;

 private:
  std::pair<double, double> choose(const Histogram& h) const override {
    const double share = spec().percentile / 100;
    const double low = h.min < 0 ? quantile(h, 1 - share) : h.min;
    return {low, std::max(low, quantile(h, share))};
  }
};

std::unique_ptr<Observer> make(const QuantizationSpec& spec, int64_t channels) {
  return std::make_unique<Percentile>(spec, channels);
}

}  // namespace

const ObserverDef observer_percentile{
    "percentile",
    "2048 bins; the percentile of the spec, and with negative values also its mirror at the lower "
    "end",
    true, make};

}  // namespace stair::qat
