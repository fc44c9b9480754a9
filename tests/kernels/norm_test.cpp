#include "kernels/norm/norm.h"

#include "tests/support/guarded.h"
#include "tests/support/sanitizers.h"

namespace stair::kernels {
namespace {

using test::Guarded;

struct Case {
  int64_t rows, channels;
  bool training;
  float mean, deviation;
};

template <class T>
struct Forward {
  std::vector<T> mean, var, invstd, y;
};

template <class T>
Forward<T> forward(const Case& k, const std::vector<T>& x, const T* gamma, const T* beta,
                   const std::vector<T>& mean, const std::vector<T>& var) {
  Guarded<T> m(mean), v(var), s(k.channels), y(k.rows * k.channels);
  run<BatchNormForward<T>>({k.rows, k.channels, k.training, T(1e-5), x.data(), gamma, beta,
                            m.data(), v.data(), s.data(), y.data()});
  EXPECT_TRUE(m.intact() && v.intact() && s.intact() && y.intact());
  return {m.values(), v.values(), s.values(), y.values()};
}

template <class T>
struct Backward {
  std::vector<T> gx, ggamma, gbeta;
};

template <class T>
Backward<T> backward(const Case& k, const std::vector<T>& x, const std::vector<T>& gy,
                     const T* gamma, const std::vector<T>& mean, const std::vector<T>& invstd) {
  Guarded<T> gx(k.rows * k.channels), ggamma(k.channels), gbeta(k.channels);
  run<BatchNormBackward<T>>({k.rows, k.channels, k.training, x.data(), gy.data(), gamma,
                             mean.data(), invstd.data(), gx.data(), ggamma.data(), gbeta.data()});
  EXPECT_TRUE(gx.intact() && ggamma.intact() && gbeta.intact());
  return {gx.values(), ggamma.values(), gbeta.values()};
}

std::vector<float> channel_values(Random& random, const Case& k) {
  std::vector<float> x = test::random_normal(random, k.rows * k.channels, 0, k.deviation);
  for (int64_t i = 0; i < k.rows * k.channels; ++i)
    x[static_cast<size_t>(i)] += k.mean * static_cast<float>(i % k.channels % 5);
  return x;
}

void expect_agreement(const Case& k, uint64_t seed) {
  Random random(seed);
  SCOPED_TRACE(testing::Message() << "rows " << k.rows << " channels " << k.channels << " training "
                                  << k.training << " mean " << k.mean);
  const std::vector<float> x = channel_values(random, k),
                           gy = test::random_normal(random, k.rows * k.channels);
  const std::vector<float> gamma = test::random_normal(random, k.channels),
                           beta = test::random_normal(random, k.channels);
  const std::vector<float> mean(static_cast<size_t>(k.channels), 0.25F),
      var(static_cast<size_t>(k.channels), 1.5F);
  const std::vector<double> xd = test::widened(x), gammad = test::widened(gamma),
                            betad = test::widened(beta);
  const bool affine = seed % 2 == 0;
  const auto got = forward<float>(k, x, affine ? gamma.data() : nullptr,
                                  affine ? beta.data() : nullptr, mean, var);
  const auto expected =
      forward<double>(k, xd, affine ? gammad.data() : nullptr, affine ? betad.data() : nullptr,
                      test::widened(mean), test::widened(var));
  test::expect_close(got.mean, expected.mean, k.deviation);
  test::expect_close(got.var, expected.var);
  test::expect_close(got.invstd, expected.invstd);
  test::expect_close(got.y, expected.y, 1.0);

  // The same statistics go into both backward passes: their rounding is not at stake here.
  const auto gb = backward<float>(k, x, gy, affine ? gamma.data() : nullptr, got.mean, got.invstd);
  const auto eb = backward<double>(k, xd, test::widened(gy), affine ? gammad.data() : nullptr,
                                   test::widened(got.mean), test::widened(got.invstd));
  const double rows = std::max(1.0, static_cast<double>(k.rows));
  test::expect_close(gb.ggamma, eb.ggamma, rows);
  test::expect_close(gb.gbeta, eb.gbeta, rows);
  double largest = 1;
  for (double g : eb.gx) largest = std::max(largest, std::abs(g));
  test::expect_close(gb.gx, eb.gx, largest);
}

}  // namespace

TEST(BatchNorm, TrainingNormalisesEachChannelByItsOwnStatistics) {
  test::for_each_isa([] {
    const Case k{4, 2, true, 0, 1};
    const std::vector<float> x{1, 10, 3, 10, 5, 10, 7, 10}, gamma{2, 3}, beta{1, -1};
    const auto f = forward<float>(k, x, gamma.data(), beta.data(), {0, 0}, {0, 0});
    EXPECT_EQ(f.mean, (std::vector<float>{4, 10}));
    EXPECT_EQ(f.var, (std::vector<float>{5, 0}));
    EXPECT_FLOAT_EQ(f.invstd[0], 1 / std::sqrt(5.00001F));
    EXPECT_FLOAT_EQ(f.invstd[1], 1 / std::sqrt(1e-5F));
    EXPECT_FLOAT_EQ(f.y[0], -3 / std::sqrt(5.00001F) * 2 + 1);
    for (size_t r = 0; r < 4; ++r) EXPECT_EQ(f.y[2 * r + 1], -1);
  });
}

TEST(BatchNorm, EvaluationUsesTheGivenStatisticsAndLeavesThemAlone) {
  test::for_each_isa([] {
    const auto f = forward<float>({2, 1, false, 0, 1}, {1, 4}, nullptr, nullptr, {2}, {0.25F});
    EXPECT_EQ(f.mean[0], 2);
    EXPECT_EQ(f.var[0], 0.25F);
    EXPECT_NEAR(f.y[0], -2, 1e-4);
    EXPECT_NEAR(f.y[1], 4, 2e-4);
  });
}

TEST(BatchNorm, NoRowsGiveZeroStatistics) {
  test::for_each_isa([] {
    const auto f = forward<float>({0, 3, true, 0, 1}, {}, nullptr, nullptr, {7, 7, 7}, {7, 7, 7});
    EXPECT_EQ(f.mean, std::vector<float>(3, 0.0F));
    EXPECT_EQ(f.var, std::vector<float>(3, 0.0F));
    const auto b = backward<float>({0, 3, true, 0, 1}, {}, {}, nullptr, f.mean, f.invstd);
    EXPECT_EQ(b.ggamma, std::vector<float>(3, 0.0F));
  });
}

TEST(BatchNorm, DoubleGradientsMatchDifferenceQuotients) {
  const Case k{5, 3, true, 0, 1};
  Random random(5);
  std::vector<double> x = test::widened(test::random_normal(random, 15, 1, 2));
  const std::vector<double> gy = test::widened(test::random_normal(random, 15)), zero(3, 0.0);
  const double gamma[] = {0.5, -1.25, 2}, beta[] = {0.1, 0.2, 0.3};
  const auto f = forward<double>(k, x, gamma, beta, zero, zero);
  const auto b = backward<double>(k, x, gy, gamma, f.mean, f.invstd);
  const auto loss = [&] {
    const std::vector<double> y = forward<double>(k, x, gamma, beta, zero, zero).y;
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * gy[i];
    return sum;
  };
  for (size_t i = 0; i < x.size(); ++i) {
    const double before = x[i];
    x[i] = before + 1e-5;
    const double above = loss();
    x[i] = before - 1e-5;
    const double below = loss();
    x[i] = before;
    EXPECT_NEAR(b.gx[i], (above - below) / 2e-5, 1e-6);
  }
}

TEST(BatchNorm, FloatAgreesWithDoubleForEveryChannelCount) {
  test::for_each_isa([] {
    for (int64_t channels = 1; channels <= 70; ++channels)
      for (bool training : {true, false})
        expect_agreement({1 + channels * 7 % 41, channels, training, 0.5F, 1},
                         static_cast<uint64_t>(channels));
  });
}

TEST(BatchNorm, FloatAgreesWithDoubleOnRandomShapes) {
  test::for_each_isa([] {
    Random random(9);
    for (uint64_t seed = 0; seed < support::kRandomShapes; ++seed) {
      const auto up_to = [&](uint64_t n) { return 1 + static_cast<int64_t>(random.below(n)); };
      // A picture of one pixel gives one row.
      const int64_t rows = seed % 20 == 0 ? 1 : up_to(50), channels = up_to(70);
      expect_agreement({rows, channels, random.below(4) != 0, random.uniform(-2, 2), 1}, seed);
    }
  });
}

TEST(BatchNorm, FloatAgreesWithDoubleOnLargeShapes) {
  test::for_each_isa([] {
    for (const Case& k : {Case{20011, 3, true, 1, 1},
                          {3001, 64, true, 1, 1},
                          {3001, 64, false, 1, 1},
                          {777, 130, true, 1, 1},
                          {97, 513, true, 1, 1}})
      expect_agreement(k, static_cast<uint64_t>(k.rows));
  });
}

TEST(BatchNorm, VarianceIsAccurateWhenTheMeanIsMuchLargerThanTheDeviation) {
  test::for_each_isa([] {
    expect_agreement({5000, 17, true, 1000, 1}, 3);
    expect_agreement({300, 70, true, 100000, 8}, 4);
  });
}

TEST(BatchNorm, OneOutlierInTheFirstRowDoesNotSpoilTheVariance) {
  test::for_each_isa([] {
    const Case k{4000, 16, true, 0, 1};
    Random random(6);
    std::vector<float> x = test::random_normal(random, k.rows * k.channels);
    for (size_t c = 0; c < 16; ++c) x[c] = 1e6F;
    const std::vector<float> zero(16, 0.0F);
    const auto got = forward<float>(k, x, nullptr, nullptr, zero, zero);
    const auto expected = forward<double>(k, test::widened(x), nullptr, nullptr,
                                          test::widened(zero), test::widened(zero));
    test::expect_close(got.var, expected.var, 1e-30, 1e-6);
  });
}

TEST(BatchNorm, GradientMayOverwriteTheOutputGradientOrBeLeftOut) {
  test::for_each_isa([] {
    Random random(7);
    const Case k{37, 19, true, 0, 1};
    const std::vector<float> x = test::random_normal(random, 37 * 19),
                             gy = test::random_normal(random, 37 * 19);
    const std::vector<float> mean(19, 0.1F), invstd(19, 0.9F);
    const auto apart = backward<float>(k, x, gy, nullptr, mean, invstd);
    std::vector<float> in_place = gy, ggamma(19), gbeta(19);
    run<BatchNormBackward<float>>({37, 19, true, x.data(), in_place.data(), nullptr, mean.data(),
                                   invstd.data(), in_place.data(), ggamma.data(), gbeta.data()});
    EXPECT_EQ(in_place, apart.gx);
    run<BatchNormBackward<float>>({37, 19, true, x.data(), gy.data(), nullptr, mean.data(),
                                   invstd.data(), nullptr, ggamma.data(), gbeta.data()});
    EXPECT_EQ(ggamma, apart.ggamma);
  });
}

TEST(BatchNorm, ResultsDoNotDependOnThreads) {
  Random random(8);
  const Case k{6001, 48, true, 0, 1};
  const std::vector<float> x = test::random_normal(random, k.rows * k.channels, 1, 2),
                           zero(48, 0.0F);
  test::for_each_isa([&] {
    test::expect_same_for_any_thread_count([&] {
      auto f = forward<float>(k, x, nullptr, nullptr, zero, zero);
      const auto b = backward<float>(k, x, f.y, nullptr, f.mean, f.invstd);
      for (const std::vector<float>* part : std::initializer_list<const std::vector<float>*>{
               &f.mean, &f.var, &b.gx, &b.ggamma, &b.gbeta})
        f.y.insert(f.y.end(), part->begin(), part->end());
      return f.y;
    });
  });
}

}  // namespace stair::kernels
