// The range of least squared error by PyTorch's search: from quantiles 0 and 1 inwards in steps of
// 1e-5, the side moves that passes over more bins, until the error grows. The error of a range is
// that of values spread evenly within their bins and rounded to 2^bits destination bins.
// Source: torch.ao.quantization.HistogramObserver, _non_linear_param_search; ours: 2^bits bins
// where the reference takes those of the type, and cumulative sums with moving places.
#include "qat/histogram.h"

#include <algorithm>
#include <cmath>

namespace stair::qat {
namespace {

// density * integral of t^2 from begin to end.
double squared(double begin, double end, double density) {
  return density * (end * end * end - begin * begin * begin) / 3;
}

double error_of(const Histogram& h, size_t first, size_t last, double destinations) {
  const double width = h.width();
  const double cell = width * static_cast<double>(last - first + 1) / destinations;
  if (cell == 0) return 0;
  double sum = 0;
  for (size_t bin = 0; bin < h.counts.size(); ++bin) {
    if (h.counts[bin] == 0) continue;
    const double begin = (static_cast<double>(bin) - static_cast<double>(first)) * width;
    const double end = begin + width, density = h.counts[bin] / width;
    const double cell_of_begin = std::clamp(std::floor(begin / cell), 0.0, destinations - 1);
    const double cell_of_end = std::clamp(std::floor(end / cell), 0.0, destinations - 1);
    sum += squared(begin - (cell_of_begin + 0.5) * cell, cell / 2, density);
    sum += (cell_of_end - cell_of_begin - 1) * squared(-cell / 2, cell / 2, density);
    sum += squared(-cell / 2, end - (cell_of_end + 0.5) * cell, density);
  }
  return sum;
}

class LeastSquares final : public HistogramObserver {
 public:
  using HistogramObserver::HistogramObserver;

 private:
  std::pair<double, double> choose(const Histogram& h) const override {
    std::vector<double> below(h.counts.size());
    double total = 0;
    for (size_t i = 0; i < below.size(); ++i) below[i] = total += h.counts[i];
    constexpr double kStep = 1e-5;
    double alpha = 0, beta = 1, least = HUGE_VAL;
    size_t first = 0, last = below.size() - 1, left = 0, right = last;
    const double destinations = std::exp2(spec().bits);
    while (alpha < beta) {
      const double next_alpha = alpha + kStep, next_beta = beta - kStep;
      while (left < last && below[left] < next_alpha * total) ++left;
      while (right > first && below[right] > next_beta * total) --right;
      const bool from_left = left - first > last - right;
      (from_left ? alpha : beta) = from_left ? next_alpha : next_beta;
      const size_t next_first = from_left ? left : first, next_last = from_left ? last : right;
      if (next_first == first && next_last == last) continue;
      const double error = error_of(h, next_first, next_last, destinations);
      if (error > least) break;
      least = error;
      first = next_first;
      last = next_last;
    }
    return {h.min + h.width() * static_cast<double>(first),
            h.min + h.width() * static_cast<double>(last + 1)};
  }
};

std::unique_ptr<Observer> make(const QuantizationSpec& spec, int64_t channels) {
  return std::make_unique<LeastSquares>(spec, channels);
}

}  // namespace

const ObserverDef observer_histogram{
    "histogram", "2048 bins; PyTorch's search for the range of least squared error", true, make};

}  // namespace stair::qat
