#include "qat/observer.h"

namespace stair::qat {
namespace {

class Fixed final : public Observer {
 public:
  Fixed(const QuantizationSpec& spec, int64_t channels)
      : Observer(spec, channels), channels_(static_cast<size_t>(channels)) {
    const bool fits = spec.fixed_zero_point >= spec.qmin && spec.fixed_zero_point <= spec.qmax;
    if (!(spec.fixed_scale >= kMinScale) || !(spec.fixed_scale < kMostScale) || !fits)
      throw ConfigError(
          str("observer fixed: scale ", spec.fixed_scale, ", zero point ", spec.fixed_zero_point,
              ", expected a positive finite scale of at least "
              "2^-23 and a zero point in [",
              spec.qmin, ",", spec.qmax, "]"),
          "values in [0, 1]: scale 1/256, zero point 0; in [-1, 1]: 2/256 and 128");
  }
  void observe(const Observed&) override {}
  bool calibrated() const override { return true; }
  QParams qparams() const override {
    return {std::vector<float>(channels_, spec().fixed_scale),
            std::vector<int32_t>(channels_, spec().fixed_zero_point), spec().axis, spec().qmin,
            spec().qmax};
  }

 private:
  static constexpr float kMostScale = 1e30F;
  size_t channels_;
};

std::unique_ptr<Observer> make(const QuantizationSpec& spec, int64_t channels) {
  return std::make_unique<Fixed>(spec, channels);
}

}  // namespace

const ObserverDef observer_fixed{
    "fixed", "scale and zero point of the spec, for operations whose range is known", false, make};

}  // namespace stair::qat
