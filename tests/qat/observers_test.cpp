// Every observer of the build, and the choices of those with histograms.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/parallel.h"
#include "core/random.h"
#include "core/storage.h"
#include "qat/histogram.h"
#include "qat/quantizer.h"

namespace stair::qat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<const ObserverDef*> calibrating() {
  std::vector<const ObserverDef*> found;
  for (const ObserverDef* def : observers())
    if (def->calibrates) found.push_back(def);
  return found;
}

std::shared_ptr<Quantizer> quantizer_of(const std::string& observer,
                                        QuantizationSpec spec = activation_spec(),
                                        int64_t channels = 1,
                                        Activation activation = Activation::none) {
  spec.observer = observer;
  return make_quantizer(spec, channels, activation);
}

Tensor normal(int64_t n, uint64_t seed, float outlier = 0) {
  Tensor x = Tensor::empty({n}, DType::f32);
  Random random(seed);
  for (int64_t i = 0; i < n; ++i) x.data<float>()[i] = random.normal();
  if (outlier != 0) x.data<float>()[0] = outlier;
  return x;
}

// Mean squared error of quantizing x.
double error_of(const Quantizer& quantizer, const Tensor& x) {
  const QParams p = quantizer.qparams();
  double sum = 0;
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double v = x.data<float>()[i];
    const double code =
        std::clamp<double>(std::nearbyint(v / p.scale[0]) + p.zero_point[0], p.qmin, p.qmax);
    const double error = v - (code - p.zero_point[0]) * p.scale[0];
    sum += error * error / static_cast<double>(x.numel());
  }
  return sum;
}

TEST(Observers, AreFoundByTheirNames) {
  for (const ObserverDef* def : observers()) {
    EXPECT_EQ(&find_observer(def->name), def);
    EXPECT_NE(std::string(def->rule), "") << def->name;
  }
  try {
    (void)find_observer("histogramm");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(error.hint().find("did you mean 'histogram'"), std::string::npos) << error.hint();
  }
}

TEST(Observers, SpreadValuesGetTheirRange) {
  Tensor x = Tensor::empty({4000}, DType::f32);
  for (int64_t i = 0; i < 4000; ++i) x.data<float>()[i] = static_cast<float>(i - 1000) / 1000;
  for (const ObserverDef* def : calibrating()) {
    const auto quantizer = quantizer_of(def->name);
    (void)(*quantizer)(Variable(x));
    EXPECT_NEAR(quantizer->qparams().scale[0], 4.0 / 255, 0.02 * 4 / 255) << def->name;
    EXPECT_NEAR(quantizer->qparams().zero_point[0], 64, 2) << def->name;
  }
}

// Row R03 of the faults: NaN, infinities, zeros, one constant, subnormal numbers.
TEST(ObserversFault, AnyTensorGivesAUsableScale) {
  const std::vector<std::vector<float>> tensors = {
      {0, 0, 0},        {2.5F, 2.5F},          {-3},
      {1e-42F, 2e-42F}, {1, std::nanf(""), 2}, {kInfinity, -1, 1, -kInfinity},
      {-3e38F, 3e38F},
  };
  for (const ObserverDef* def : calibrating())
    for (const auto& values : tensors) {
      const auto quantizer = quantizer_of(def->name);
      const int64_t n = static_cast<int64_t>(values.size());
      (void)(*quantizer)(Variable(Tensor::from<float>(values, {n})));
      (void)(*quantizer)(Variable(Tensor::from<float>(values, {n})));
      const QParams p = quantizer->qparams();
      EXPECT_GE(p.scale[0], kMinScale) << def->name << ' ' << values[0];
      EXPECT_TRUE(std::isfinite(p.scale[0])) << def->name << ' ' << values[0];
      EXPECT_TRUE(p.zero_point[0] >= 0 && p.zero_point[0] <= 255) << def->name;
    }
}

TEST(Observers, OutliersAreClippedByThoseThatLookAtTheError) {
  const Tensor x = normal(20000, 3, 60);
  const auto minmax = quantizer_of("minmax");
  (void)(*minmax)(Variable(x));
  // At 8 bits one value of 60 costs more than a coarser step for 20000: error decides both ways.
  for (const char* name : {"histogram", "mse"}) {
    const auto quantizer = quantizer_of(name, activation_spec(4));
    (void)(*quantizer)(Variable(x));
    const auto plain = quantizer_of("minmax", activation_spec(4));
    (void)(*plain)(Variable(x));
    EXPECT_LT(error_of(*quantizer, x), 0.5 * error_of(*plain, x)) << name;
  }
  for (const char* name : {"percentile", "entropy"}) {
    const auto quantizer = quantizer_of(name);
    (void)(*quantizer)(Variable(x));
    EXPECT_LT(quantizer->qparams().scale[0], 0.5F * minmax->qparams().scale[0]) << name;
  }
}

TEST(Observers, PercentileCutsBothTailsOfSignedValuesAndOneOfPositiveOnes) {
  Tensor x = Tensor::empty({10001}, DType::f32);
  for (int64_t i = 0; i <= 10000; ++i) x.data<float>()[i] = static_cast<float>(i - 5000) / 1000;
  QuantizationSpec spec = activation_spec();
  spec.percentile = 90;
  const auto both = quantizer_of("percentile", spec);
  (void)(*both)(Variable(x));
  EXPECT_NEAR(both->qparams().scale[0], 8.0 / 255, 0.001 * 8 / 255);
  const auto relu = quantizer_of("percentile", spec, 1, Activation::relu);
  (void)(*relu)(Variable(x));
  EXPECT_NEAR(relu->qparams().scale[0], 4.0 / 255, 0.002 * 4 / 255);
  spec.percentile = 20;
  EXPECT_THROW((void)make_quantizer(spec, 1), ConfigError);
}

// Batches in any partition give one histogram, as long as the first holds the extremes.
TEST(Observers, AHistogramCountsAllBatches) {
  const Tensor all = normal(30000, 9);
  Tensor first = Tensor::empty({2}, DType::f32);
  const Range range = range_of(all, -1);
  first.data<float>()[0] = range.min[0];
  first.data<float>()[1] = range.max[0];
  const auto whole = quantizer_of("histogram"), parts = quantizer_of("histogram");
  (void)(*whole)(Variable(first));
  (void)(*parts)(Variable(first));
  (void)(*whole)(Variable(all));
  for (int64_t i = 0; i < 3; ++i) {
    Tensor part = Tensor::empty({10000}, DType::f32);
    std::copy_n(all.data<float>() + i * 10000, 10000, part.data<float>());
    (void)(*parts)(Variable(part));
  }
  EXPECT_EQ(whole->qparams(), parts->qparams());
}

TEST(Observers, HistogramsPerChannelAreThoseOfTheChannels) {
  Tensor w = Tensor::empty({3, 500}, DType::f32);
  Random random(4);
  for (int64_t i = 0; i < w.numel(); ++i)
    w.data<float>()[i] = random.normal() * static_cast<float>(1 + i / 500);
  QuantizationSpec spec = weight_spec(4);
  for (const char* name : {"histogram", "percentile", "mse", "entropy"}) {
    spec.axis = 0;
    const auto together = quantizer_of(name, spec, 3);
    (void)(*together)(Variable(w));
    together->enable_observer(false);
    spec.axis = -1;
    for (int64_t c = 0; c < 3; ++c) {
      Tensor row = Tensor::empty({1, 500}, DType::f32);
      std::copy_n(w.data<float>() + c * 500, 500, row.data<float>());
      const auto alone = quantizer_of(name, spec);
      (void)(*alone)(Variable(row));
      alone->enable_observer(false);
      EXPECT_EQ(together->qparams().scale[static_cast<size_t>(c)], alone->qparams().scale[0])
          << name;
    }
  }
}

TEST(ObserversExact, BitsDoNotDependOnThreads) {
  const int threads = num_threads();
  for (const ObserverDef* def : calibrating()) {
    std::vector<QParams> found;
    for (int count : {1, 2, 4}) {
      set_num_threads(count);
      const auto quantizer = quantizer_of(def->name);
      (void)(*quantizer)(Variable(normal(200000, 5)));
      (void)(*quantizer)(Variable(normal(300000, 6)));
      found.push_back(quantizer->qparams());
    }
    EXPECT_EQ(found[0], found[1]) << def->name;
    EXPECT_EQ(found[0], found[2]) << def->name;
  }
  set_num_threads(threads);
}

TEST(Observers, MemoryDoesNotGrowWithTheBatches) {
  for (const ObserverDef* def : calibrating()) {
    const auto quantizer = quantizer_of(def->name);
    const Tensor x = normal(10000, 7);
    (void)(*quantizer)(Variable(x));
    (void)quantizer->qparams();
    const size_t before = memory_stats().live_bytes;
    for (int i = 0; i < 20; ++i) (void)(*quantizer)(Variable(x));
    (void)quantizer->qparams();
    EXPECT_EQ(memory_stats().live_bytes, before) << def->name;
  }
}

TEST(Observers, StateTravelsWithTheQuantizer) {
  for (const ObserverDef* def : calibrating()) {
    const auto quantizer = quantizer_of(def->name);
    (void)(*quantizer)(Variable(normal(5000, 8)));
    const auto copy = std::static_pointer_cast<Quantizer>(quantizer->clone());
    EXPECT_EQ(copy->qparams(), quantizer->qparams()) << def->name;
    (void)(*copy)(Variable(normal(5000, 9, 30)));
    (void)(*quantizer)(Variable(normal(5000, 9, 30)));
    EXPECT_EQ(copy->qparams(), quantizer->qparams()) << def->name;
  }
}

TEST(ObserversFault, ThoseThatDoNotCalibrateSayWhatIsMissing) {
  for (const char* name : {"placeholder", "noop"}) {
    const auto quantizer = quantizer_of(name);
    EXPECT_THROW((void)(*quantizer)(Variable(normal(10, 1))), ConfigError) << name;
  }
  QuantizationSpec spec = activation_spec();
  spec.fixed_zero_point = 300;
  spec.fixed_scale = 0.1F;
  EXPECT_THROW((void)quantizer_of("fixed", spec), ConfigError);
  spec.fixed_zero_point = 0;
  spec.fixed_scale = 0;
  try {
    (void)quantizer_of("fixed", spec);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(error.hint().find("1/256"), std::string::npos);
  }
}

}  // namespace
}  // namespace stair::qat
