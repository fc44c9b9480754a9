#include "qat/observer.h"

namespace stair::qat {
namespace {

class MinMax final : public Observer {
 public:
  using Observer::Observer;
  void observe(const Observed& batch) override { widen(batch.range); }
};

std::unique_ptr<Observer> make(const QuantizationSpec& spec, int64_t channels) {
  return std::make_unique<MinMax>(spec, channels);
}

}  // namespace

const ObserverDef observer_minmax{"minmax", "the extremes of all batches", true, make};

}  // namespace stair::qat
