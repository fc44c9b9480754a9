#include "qat/observer.h"

namespace stair::qat {
namespace {

class MovingAverageMinMax final : public Observer {
 public:
  using Observer::Observer;

  void observe(const Observed& batch) override {
    float* min = min_val().value().data<float>();
    float* max = max_val().value().data<float>();
    const float c = static_cast<float>(spec().averaging_constant);
    for (size_t i = 0; i < batch.range.min.size(); ++i) {
      const float low = batch.range.min[i], high = batch.range.max[i];
      if (low > high) continue;
      const bool copies = min[i] > max[i] || c == 1;
      min[i] = copies ? low : min[i] + c * (low - min[i]);
      max[i] = copies ? high : max[i] + c * (high - max[i]);
    }
  }
};

std::unique_ptr<Observer> make(const QuantizationSpec& spec, int64_t channels) {
  return std::make_unique<MovingAverageMinMax>(spec, channels);
}

}  // namespace

const ObserverDef observer_moving_average_minmax{
    "moving_average_minmax",
    "the extremes of the first batch, then m += c * (batch - m); c = 1: those of the current batch",
    true, make};

}  // namespace stair::qat
