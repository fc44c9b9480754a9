// Observers that keep a histogram of 2048 bins a channel and choose a range from it.
#pragma once

#include "qat/observer.h"

namespace stair::qat {

// Counts of values in equal bins over [min, max].
struct Histogram {
  std::span<const double> counts;
  double min, max;

  double width() const { return (max - min) / static_cast<double>(counts.size()); }
  double centre(size_t bin) const { return min + (static_cast<double>(bin) + 0.5) * width(); }
  double total() const;
};

// State: min_val, max_val, the extremes of all batches; histogram f64 [channels, 2048]. When the
// range grows, each old bin is cut into 16 parts that go to the new bins of their middles. Source:
// torch.ao.quantization.HistogramObserver.
class HistogramObserver : public Observer {
 public:
  static constexpr int64_t kBins = 2048;

  HistogramObserver(const QuantizationSpec& spec, int64_t channels);
  void observe(const Observed& batch) final;
  bool needs_values() const final { return true; }
  QParams qparams() const final;
  std::vector<nn::NamedVariable> state() const final;

  // The range chosen for a channel.
  std::pair<float, float> clip(int64_t channel) const;

 protected:
  // Of a histogram with min < max.
  virtual std::pair<double, double> choose(const Histogram& histogram) const = 0;

 private:
  void regrid(int64_t channel, float min, float max);

  autograd::Variable histogram_;
  // The ranges of the histogram they were chosen for; quantizers ask for them at every forward.
  mutable std::vector<double> chosen_for_;
  mutable QParams chosen_;
};

}  // namespace stair::qat
