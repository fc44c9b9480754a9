#include "kernels/reduce/reduce.h"

#include <limits>

#include "tests/support/guarded.h"

namespace stair::kernels {
namespace {

using test::Guarded;

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<ChannelLayout> layouts() {
  std::vector<ChannelLayout> list{{1, 1, 0},     {0, 4, 1},     {1, 1, 1},    {1, 1, 300007},
                                  {40001, 3, 1}, {3001, 64, 1}, {1, 64, 576}, {1, 10, 9},
                                  {3, 5, 7},     {2, 3, 33000}, {65, 513, 1}};
  for (int64_t c = 1; c <= 70; ++c)
    list.push_back({1 + c * 13 % 29, c, c % 3 == 0 ? 1 + c % 37 : 1});
  Random random(30);
  const auto up_to = [&](uint64_t n) { return 1 + static_cast<int64_t>(random.below(n)); };
  for (int i = 0; i < 500; ++i)
    list.push_back({up_to(12), up_to(70), random.below(2) == 0 ? 1 : up_to(40)});
  return list;
}

struct Extremes {
  std::vector<float> min, max;
  int64_t non_finite;
};

Extremes min_max(const ChannelLayout& l, const std::vector<float>& x) {
  Guarded<float> min(l.channels), max(l.channels);
  int64_t count = -1;
  run<MinMax<float>>({l, x.data(), min.data(), max.data(), &count});
  EXPECT_TRUE(min.intact() && max.intact());
  return {min.values(), max.values(), count};
}

}  // namespace

TEST(MinMax, LeavesOutAndCountsWhatIsNotFinite) {
  test::for_each_isa([] {
    const Extremes e = min_max({2, 3, 2}, {1, NAN, -2, 5, kInf, -kInf, 3, -4, 0, 6, NAN, kInf});
    EXPECT_EQ(e.min, (std::vector<float>{-4, -2, kInf}));
    EXPECT_EQ(e.max, (std::vector<float>{3, 6, -kInf}));
    EXPECT_EQ(e.non_finite, 5);
  });
}

TEST(MinMaxExact, AgreesWithTheReference) {
  test::for_each_isa([] {
    Random random(31);
    for (const ChannelLayout& l : layouts()) {
      SCOPED_TRACE(testing::Message() << l.outer << " x " << l.channels << " x " << l.inner);
      std::vector<float> x = test::random_normal(random, l.numel());
      for (float& v : x)
        if (random.below(16) == 0)
          v = random.below(3) == 0 ? NAN : random.below(2) == 0 ? kInf : -kInf;
      const Extremes got = min_max(l, x);
      const IsaScope scope(Isa::ref);
      const Extremes expected = min_max(l, x);
      EXPECT_EQ(got.min, expected.min);
      EXPECT_EQ(got.max, expected.max);
      EXPECT_EQ(got.non_finite, expected.non_finite);
    }
  });
}

TEST(SumChannels, AddsOverOuterAndInner) {
  test::for_each_isa([] {
    const std::vector<float> a{1, 2, 3, 4, 5, 6, 7, 8}, b{1, 0, 2, 0, 3, 0, 4, 1};
    Guarded<float> sum(2);
    run<SumChannels<float>>({{2, 2, 2}, a.data(), sum.data()});
    EXPECT_EQ(sum.values(), (std::vector<float>{14, 22}));
    run<DotChannels<float>>({{2, 2, 2}, a.data(), b.data(), sum.data()});
    EXPECT_EQ(sum.values(), (std::vector<float>{16, 42}));
  });
}

TEST(SumChannels, FloatAgreesWithDouble) {
  test::for_each_isa([] {
    Random random(32);
    for (const ChannelLayout& l : layouts()) {
      SCOPED_TRACE(testing::Message() << l.outer << " x " << l.channels << " x " << l.inner);
      const std::vector<float> a = test::random_normal(random, l.numel(), 0.25F),
                               b = test::random_normal(random, l.numel());
      const std::vector<double> ad = test::widened(a), bd = test::widened(b);
      Guarded<float> sum(l.channels);
      std::vector<double> sumd(static_cast<size_t>(l.channels));
      const double size = 0.5 * static_cast<double>(std::max<int64_t>(1, l.outer * l.inner));
      run<SumChannels<float>>({l, a.data(), sum.data()});
      run<SumChannels<double>>({l, ad.data(), sumd.data()});
      test::expect_close(sum.values(), sumd, size, 2e-6);
      run<DotChannels<float>>({l, a.data(), b.data(), sum.data()});
      run<DotChannels<double>>({l, ad.data(), bd.data(), sumd.data()});
      test::expect_close(sum.values(), sumd, size, 2e-6);
      EXPECT_TRUE(sum.intact());
    }
  });
}

TEST(Reduce, ResultsDoNotDependOnThreads) {
  Random random(33);
  const std::vector<float> x = test::random_normal(random, 600000, 1),
                           y = test::random_normal(random, 600000, 1);
  test::for_each_isa([&] {
    for (const ChannelLayout& l :
         {ChannelLayout{1, 1, 600000}, {12500, 48, 1}, {1, 60, 10000}, {30, 20, 1000}})
      test::expect_same_for_any_thread_count([&] {
        std::vector<float> sums(2 * static_cast<size_t>(l.channels));
        run<SumChannels<float>>({l, x.data(), sums.data()});
        run<DotChannels<float>>({l, x.data(), y.data(), sums.data() + l.channels});
        const Extremes e = min_max(l, x);
        sums.insert(sums.end(), e.min.begin(), e.min.end());
        sums.insert(sums.end(), e.max.begin(), e.max.end());
        return sums;
      });
  });
}

}  // namespace stair::kernels
