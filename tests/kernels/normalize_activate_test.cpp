#include <algorithm>

#include "core/storage.h"
#include "kernels/norm/norm.h"
#include "tests/support/guarded.h"
#include "tests/support/sanitizers.h"

namespace stair::kernels {
namespace {

using test::Guarded;

// A case drawn from a seed: sizes, an activation function, a code range.
struct Drawn {
  explicit Drawn(uint64_t seed) : random(seed, 0) {
    rows = 1 + draw(seed % 50 == 7 ? 3000 : 40);
    channels = 1 + draw(seed % 50 == 8 ? 600 : 70);
    x = test::random_normal(random, rows * channels, 0.5F, 2);
    gy = test::random_normal(random, rows * channels);
    for (auto* v : {&mean, &scale, &shift, &gamma, &invstd})
      *v = test::random_normal(random, channels);
    if (draw(2) == 1) low = 0;
    if (low == 0 && draw(2) == 1) high = 0.75F;
    is_signed = draw(2) == 1;
    real = draw(3) == 0;
    qmin = is_signed ? -128 : 0;
    qmax = qmin + (draw(2) == 1 ? 15 : 255);
    zero_point = qmin + static_cast<int32_t>(draw(qmax - qmin + 1));
    q_scale = 0.01F + 0.05F * random.uniform();
  }
  int64_t draw(int64_t n) { return static_cast<int64_t>(random.uniform() * static_cast<float>(n)); }
  DType dtype() const { return real ? DType::f32 : is_signed ? DType::s8 : DType::u8; }
  NormalizedOutput<float> output() const {
    return {rows, channels, x.data(), mean.data(), scale.data(), shift.data(), low,
            high, dtype(),  q_scale,  zero_point,  qmin,         qmax};
  }
  float activated(size_t i) const {
    const size_t c = i % static_cast<size_t>(channels);
    return std::clamp((x[i] - mean[c]) * scale[c] + shift[c], low, high);
  }
  // The code before its clamp, and whether the gradient passes.
  float unclamped(size_t i, bool& inside) const {
    const size_t c = i % static_cast<size_t>(channels);
    const float y = (x[i] - mean[c]) * scale[c] + shift[c];
    const float v = std::nearbyint(std::clamp(y, low, high) * (1.0F / q_scale)) +
                    static_cast<float>(zero_point);
    inside = y > low && y < high &&
             (real || (v >= static_cast<float>(qmin) && v <= static_cast<float>(qmax)));
    return v;
  }

  Random random;
  int64_t rows, channels;
  std::vector<float> x, gy, mean, scale, shift, gamma, invstd;
  float low = -INFINITY, high = INFINITY, q_scale;
  bool is_signed, real;
  int32_t zero_point, qmin, qmax;
};

// The sums of the gradient, in two parts.
void sum_up(const Drawn& d, const float* gamma, float* ggamma, float* gbeta, float* factors) {
  // Two chunks, the first of which comes in two parts.
  Guarded<double> sums(4 * d.channels);
  std::fill_n(sums.data(), 4 * d.channels, 0.0);
  const auto add = [&](int64_t first, int64_t last, int64_t chunk) {
    NormalizedOutput<float> part = d.output();
    part.x += first * d.channels;
    part.rows = last - first;
    run<NormalizeActivateSums<float>>(
        {part, d.gy.data() + first * d.channels, sums.data() + 2 * chunk * d.channels});
  };
  add(0, d.rows / 4, 0);
  add(d.rows / 4, d.rows / 2, 0);
  add(d.rows / 2, d.rows, 1);
  ASSERT_TRUE(sums.intact());
  gradient_factors(
      {d.rows, d.channels, 2, sums.data(), gamma, d.invstd.data(), ggamma, gbeta, factors});
}

// The result is that of the formula, bit for bit.
void expect_formula(const Drawn& d) {
  const int64_t n = d.rows * d.channels;
  Guarded<float> real(d.real ? n : 0);
  Guarded<uint8_t> codes(d.real ? 0 : n);
  void* result = d.real ? static_cast<void*>(real.data()) : codes.data();
  run<NormalizeActivate<float>>({d.output(), result});
  ASSERT_TRUE(real.intact() && codes.intact());
  for (int64_t i = 0; i < n; ++i) {
    if (d.real) {
      ASSERT_EQ(real[i], d.activated(static_cast<size_t>(i))) << "element " << i;
      continue;
    }
    bool inside;
    const float v = d.unclamped(static_cast<size_t>(i), inside);
    const int code =
        static_cast<int>(std::clamp(v, static_cast<float>(d.qmin), static_cast<float>(d.qmax)));
    ASSERT_EQ(codes[i], static_cast<uint8_t>(code)) << "element " << i;
  }
}

TEST(NormalizeActivateExact, ResultsAreThoseOfTheFormula) {
  test::for_each_isa([] {
    for (uint64_t seed = 0; seed < support::kRandomShapes; ++seed) {
      SCOPED_TRACE(seed);
      expect_formula(Drawn(seed));
    }
  });
}

TEST(NormalizeActivateExact, AResultLargerThanTheCachesIsThatOfItsHalves) {
  for (const int64_t channels : {16, 20}) {
    const int64_t rows = (int64_t{9} << 20) / channels, half = rows / 2;
    Random random(1, 0);
    const std::vector<float> x = test::random_normal(random, rows * channels),
                             mean = test::random_normal(random, channels);
    const auto part = [&](int64_t first, int64_t count) {
      return NormalizedOutput<float>{count,
                                     channels,
                                     x.data() + first * channels,
                                     mean.data(),
                                     mean.data(),
                                     mean.data(),
                                     0,
                                     6,
                                     DType::f32,
                                     1,
                                     0,
                                     0,
                                     0};
    };
    test::for_each_isa([&] {
      const Scratch whole(x.size() * sizeof(float)), halves(x.size() * sizeof(float));
      run<NormalizeActivate<float>>({part(0, rows), whole.as<float>()});
      run<NormalizeActivate<float>>({part(0, half), halves.as<float>()});
      run<NormalizeActivate<float>>(
          {part(half, rows - half), halves.as<float>() + half * channels});
      EXPECT_EQ(std::memcmp(whole.as<float>(), halves.as<float>(), x.size() * sizeof(float)), 0);
    });
  }
}

TEST(NormalizeActivateExact, WhatIsNoNumberIsZero) {
  test::for_each_isa([] {
    const std::vector<float> x = {NAN, INFINITY, -INFINITY}, one = {1, 1, 1}, zero = {0, 0, 0};
    uint8_t q[3];
    run<NormalizeActivate<float>>({{1, 3, x.data(), zero.data(), one.data(), zero.data(), -INFINITY,
                                    INFINITY, DType::u8, 0.5F, 7, 0, 200},
                                   q});
    EXPECT_EQ(q[0], 7);
    EXPECT_EQ(q[1], 200);
    EXPECT_EQ(q[2], 0);
  });
}

TEST(NormalizeActivate, GradientsAreThoseOfBatchNormOfTheMaskedGradient) {
  test::for_each_isa([] {
    for (uint64_t seed = 0; seed < support::kRandomShapes; ++seed) {
      SCOPED_TRACE(seed);
      const Drawn d(seed);
      const int64_t n = d.rows * d.channels;
      std::vector<float> masked(d.gy);
      for (size_t i = 0; i < masked.size(); ++i) {
        bool inside;
        (void)d.unclamped(i, inside);
        if (!inside) masked[i] = 0;
      }
      const float* gamma = seed % 2 == 0 ? d.gamma.data() : nullptr;
      std::vector<float> gx(d.gy.size()), ggamma(d.mean.size()), gbeta(d.mean.size());
      run<BatchNormBackward<float>>({d.rows, d.channels, true, d.x.data(), masked.data(), gamma,
                                     d.mean.data(), d.invstd.data(), gx.data(), ggamma.data(),
                                     gbeta.data()});
      Guarded<float> fx(n), fgamma(d.channels), fbeta(d.channels), factors(3 * d.channels);
      sum_up(d, gamma, fgamma.data(), fbeta.data(), factors.data());
      run<NormalizeActivateGradient<float>>({d.output(), d.gy.data(), factors.data(), fx.data()});
      ASSERT_TRUE(fx.intact() && fgamma.intact() && fbeta.intact() && factors.intact());
      const double rows = static_cast<double>(d.rows);
      test::expect_close(fgamma.values(), test::widened(ggamma), 4 * rows);
      test::expect_close(fbeta.values(), test::widened(gbeta), rows);
      test::expect_close(fx.values(), test::widened(gx), 16.0);
    }
  });
}

// One row of many channels that are each a value of y.
std::vector<float> masked_ones(NormalizedOutput<float> k, const std::vector<float>& y) {
  const std::vector<float> zero(y.size(), 0), one(y.size(), 1);
  std::vector<double> sums(2 * y.size(), 0);
  k.rows = 1;
  k.channels = std::ssize(y);
  k.x = y.data(), k.mean = zero.data(), k.scale = one.data(), k.shift = zero.data();
  run<NormalizeActivateSums<float>>({k, one.data(), sums.data()});
  return {sums.begin(), sums.begin() + std::ssize(y)};
}

// The neighbours of every value where the gradient may begin or end to pass.
std::vector<float> edges(const NormalizedOutput<float>& k) {
  std::vector<float> y = {NAN, INFINITY, -INFINITY, 0.0F, -0.0F, 1e-40F, -1e-40F};
  for (const float edge :
       {k.low, k.high, (static_cast<float>(k.qmin - k.zero_point) - 0.5F) * k.q_scale,
        (static_cast<float>(k.qmax - k.zero_point) + 0.5F) * k.q_scale}) {
    float below = edge, above = edge;
    for (int i = 0; i < 5; ++i) {
      y.push_back(below), y.push_back(above);
      below = std::nextafter(below, -INFINITY), above = std::nextafter(above, INFINITY);
    }
  }
  return y;
}

TEST(NormalizeActivateExact, TheGradientPassesUpToTheLastFloatInside) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    const NormalizedOutput<float> k = Drawn(seed).output();
    const std::vector<float> y = edges(k);
    const std::vector<float> expected = [&] {
      const IsaScope scope(Isa::ref);
      return masked_ones(k, y);
    }();
    test::for_each_isa([&] { EXPECT_EQ(masked_ones(k, y), expected); });
  }
}

TEST(BatchStatistics, AgreeWithThoseOfBatchNorm) {
  test::for_each_isa([] {
    for (uint64_t seed = 0; seed < support::kRandomShapes; ++seed) {
      SCOPED_TRACE(seed);
      const Drawn d(seed);
      const size_t channels = d.mean.size();
      std::vector<float> mean(channels), var(channels), invstd(channels), y(d.x.size());
      run<BatchNormForward<float>>({d.rows, d.channels, true, 1e-5F, d.x.data(), nullptr, nullptr,
                                    mean.data(), var.data(), invstd.data(), y.data()});
      std::vector<float> m(channels), v(channels), rest(channels), min(channels), max(channels);
      run<BatchStatistics<float>>({d.rows, d.channels, d.x.data(), m.data(), v.data(), rest.data(),
                                   min.data(), max.data()});
      EXPECT_EQ(m, mean);
      EXPECT_EQ(v, var);
      for (size_t c = 0; c < channels; ++c) {
        float low = INFINITY, high = -INFINITY;
        for (size_t i = c; i < d.x.size(); i += channels) {
          low = std::min(low, d.x[i]);
          high = std::max(high, d.x[i]);
        }
        ASSERT_EQ(min[c], low) << c;
        ASSERT_EQ(max[c], high) << c;
        EXPECT_LE(std::abs(rest[c]), std::abs(mean[c]) * 1e-7F) << c;
      }
    }
  });
}

TEST(NormalizeActivateExact, TheGradientOfSomeRowsIsThatPartOfTheWhole) {
  test::for_each_isa([] {
    for (uint64_t seed = 0; seed < 100; ++seed) {
      SCOPED_TRACE(seed);
      Drawn d(seed);
      const std::vector<float> factors = test::random_normal(d.random, 3 * d.channels);
      std::vector<float> whole(d.gy.size());
      run<NormalizeActivateGradient<float>>(
          {d.output(), d.gy.data(), factors.data(), whole.data()});
      NormalizedOutput<float> part = d.output();
      const int64_t first = d.draw(d.rows), at = first * d.channels;
      part.x += at;
      part.rows = 1 + d.draw(d.rows - first);
      Guarded<float> gx(part.rows * d.channels);
      run<NormalizeActivateGradient<float>>({part, d.gy.data() + at, factors.data(), gx.data()});
      ASSERT_TRUE(gx.intact());
      for (int64_t i = 0; i < part.rows * d.channels; ++i)
        ASSERT_EQ(gx[i], whole[static_cast<size_t>(at + i)]) << i;
    }
  });
}

TEST(NormalizeActivateExact, BitsDoNotDependOnThreads) {
  test::for_each_isa([] {
    const Drawn d(7);
    test::expect_same_for_any_thread_count([&] {
      std::vector<float> gx(d.gy.size()), ggamma(d.mean.size()), gbeta(d.mean.size());
      std::vector<float> factors(3 * d.mean.size());
      sum_up(d, nullptr, ggamma.data(), gbeta.data(), factors.data());
      run<NormalizeActivateGradient<float>>({d.output(), d.gy.data(), factors.data(), gx.data()});
      gx.insert(gx.end(), ggamma.begin(), ggamma.end());
      gx.insert(gx.end(), gbeta.begin(), gbeta.end());
      return gx;
    });
  });
}

}  // namespace
}  // namespace stair::kernels
