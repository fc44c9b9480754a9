#include <algorithm>
#include <cmath>

#include "qat/histogram.h"

namespace stair::qat {
namespace {

class Mse final : public HistogramObserver {
 public:
  using HistogramObserver::HistogramObserver;

 private:
  // Of the centres of the bins, quantized as the spec says.
  double error_of(const Histogram& h, double shrink) const {
    QuantizationSpec one = spec();
    one.axis = -1;
    const QParams p =
        qparams_of({static_cast<float>(h.min * shrink)}, {static_cast<float>(h.max * shrink)}, one);
    const double scale = p.scale[0], zero = p.zero_point[0];
    double sum = 0;
    for (size_t bin = 0; bin < h.counts.size(); ++bin) {
      const double x = h.centre(bin);
      const double q = std::clamp<double>(std::nearbyint(x / scale) + zero, p.qmin, p.qmax);
      const double error = x - (q - zero) * scale;
      sum += h.counts[bin] * error * error;
    }
    return sum;
  }

  std::pair<double, double> choose(const Histogram& h) const override {
    double best = 1, least = HUGE_VAL;
    for (int percent = 100; percent >= 5; --percent) {
      const double error = error_of(h, percent / 100.0);
      if (error < least) {
        least = error;
        best = percent / 100.0;
      }
    }
    return {h.min * best, h.max * best};
  }
};

std::unique_ptr<Observer> make(const QuantizationSpec& spec, int64_t channels) {
  return std::make_unique<Mse>(spec, channels);
}

}  // namespace

const ObserverDef observer_mse{
    "mse",
    "2048 bins; both ends shrunk to 1.00, 0.99, ... 0.05 of the extremes, the one of least mean "
    "squared error, as MQBench",
    true, make};

}  // namespace stair::qat
