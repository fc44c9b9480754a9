#include "kernels/pool/pool.h"

#include <limits>

#include "tests/support/guarded.h"

namespace stair::kernels {
namespace {

using test::Guarded;

PoolShape shape(int64_t n, int64_t h, int64_t w, int64_t c, int64_t k, int64_t stride, int64_t pad,
                bool include = true) {
  return {.n = n,
          .h = h,
          .w = w,
          .c = c,
          .kh = k,
          .kw = k,
          .stride_h = stride,
          .stride_w = stride,
          .pad_top = pad,
          .pad_left = pad,
          .pad_bottom = pad,
          .pad_right = pad,
          .count_include_pad = include};
}

int64_t in_size(const PoolShape& s) {
  return s.n * s.h * s.w * s.c;
}
int64_t out_size(const PoolShape& s) {
  return s.n * s.oh() * s.ow() * s.c;
}

// Shapes of networks, and 500 random ones with uneven windows, strides and padding, some of one
// pixel.
std::vector<PoolShape> shapes() {
  std::vector<PoolShape> list{shape(2, 14, 14, 64, 3, 2, 1), shape(2, 7, 7, 70, 7, 1, 0),
                              shape(1, 8, 6, 5, 2, 2, 0), shape(0, 4, 4, 3, 2, 2, 0),
                              shape(3, 5, 5, 16, 3, 1, 1, false)};
  Random random(11);
  for (int64_t i = 0; i < 500; ++i) {
    PoolShape s = shape(1 + i % 3, 0, 0, 1 + i % 70, 1, 1, 0, random.below(2) == 0);
    s.kh = 1 + static_cast<int64_t>(random.below(4));
    s.kw = 1 + static_cast<int64_t>(random.below(4));
    s.h = i % 10 == 0 ? 1 : s.kh + static_cast<int64_t>(random.below(7));
    s.w = i % 10 == 0 ? 1 : s.kw + static_cast<int64_t>(random.below(7));
    s.stride_h = 1 + static_cast<int64_t>(random.below(4));
    s.stride_w = 1 + static_cast<int64_t>(random.below(4));
    for (int64_t* pad : {&s.pad_top, &s.pad_bottom})
      *pad = static_cast<int64_t>(random.below(static_cast<uint64_t>(s.kh)));
    for (int64_t* pad : {&s.pad_left, &s.pad_right})
      *pad = static_cast<int64_t>(random.below(static_cast<uint64_t>(s.kw)));
    // A window larger than the padded picture is refused before it comes here.
    s.kh = std::min(s.kh, s.h + s.pad_top + s.pad_bottom);
    s.kw = std::min(s.kw, s.w + s.pad_left + s.pad_right);
    list.push_back(s);
  }
  return list;
}

std::string describe(const PoolShape& s) {
  return (testing::Message() << "n " << s.n << " h " << s.h << " w " << s.w << " c " << s.c
                             << " kh " << s.kh << " kw " << s.kw << " stride " << s.stride_h << ","
                             << s.stride_w << " pad " << s.pad_top << "," << s.pad_left)
      .GetString();
}

}  // namespace

TEST(MaxPool, TakesTheFirstMaximumOfTheWindow) {
  test::for_each_isa([] {
    const std::vector<float> x{1, 5, 2, 5, 4, 3, -1, 0, 9};
    Guarded<float> y(4);
    Guarded<int32_t> index(4);
    run<MaxPool<float>>({shape(1, 3, 3, 1, 2, 1, 0), x.data(), y.data(), index.data()});
    EXPECT_EQ(y.values(), (std::vector<float>{5, 5, 5, 9}));
    EXPECT_EQ(index.values(), (std::vector<int32_t>{1, 0, 0, 3}));
  });
}

TEST(MaxPool, PaddingNeverWins) {
  test::for_each_isa([] {
    const std::vector<float> x{-3, -2, -5, -4};
    Guarded<float> y(1);
    Guarded<int32_t> index(1);
    run<MaxPool<float>>({shape(1, 2, 2, 1, 3, 3, 1), x.data(), y.data(), index.data()});
    EXPECT_EQ(y[0], -2);
    EXPECT_EQ(index[0], 5);
  });
}

TEST(MaxPool, FirstNanWinsAndMinusInfinityIsAValue) {
  test::for_each_isa([] {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    const std::vector<float> x{2, -kInf, NAN, -kInf, 7, -kInf, NAN, -kInf};
    Guarded<float> y(2);
    Guarded<int32_t> index(2);
    run<MaxPool<float>>({shape(1, 2, 2, 2, 2, 1, 0), x.data(), y.data(), index.data()});
    EXPECT_TRUE(std::isnan(y[0]));
    EXPECT_EQ(y[1], -kInf);
    EXPECT_EQ(index.values(), (std::vector<int32_t>{1, 0}));
  });
}

TEST(MaxPoolExact, AgreesWithTheReferenceInDouble) {
  test::for_each_isa([] {
    Random random(12);
    for (const PoolShape& s : shapes()) {
      SCOPED_TRACE(describe(s));
      std::vector<float> x = test::random_normal(random, in_size(s));
      for (float& v : x) v = std::round(2 * v);
      const std::vector<double> xd = test::widened(x);
      Guarded<float> y(out_size(s)), alone(out_size(s));
      Guarded<int32_t> index(out_size(s));
      std::vector<double> yd(static_cast<size_t>(out_size(s)));
      std::vector<int32_t> indexd(yd.size());
      run<MaxPool<float>>({s, x.data(), y.data(), index.data()});
      run<MaxPool<float>>({s, x.data(), alone.data(), nullptr});
      run<MaxPool<double>>({s, xd.data(), yd.data(), indexd.data()});
      EXPECT_EQ(test::widened(y.values()), yd);
      EXPECT_EQ(alone.values(), y.values());
      EXPECT_EQ(index.values(), indexd);
      EXPECT_TRUE(y.intact() && alone.intact() && index.intact());

      const std::vector<float> gy = test::random_normal(random, out_size(s));
      const std::vector<double> gyd = test::widened(gy);
      Guarded<float> gx(in_size(s));
      std::vector<double> gxd(x.size());
      run<MaxPoolBackward<float>>({s, gy.data(), indexd.data(), gx.data()});
      run<MaxPoolBackward<double>>({s, gyd.data(), indexd.data(), gxd.data()});
      test::expect_close(gx.values(), gxd, 1.0);
      EXPECT_TRUE(gx.intact());
    }
  });
}

TEST(MaxPool, BackwardAddsTheGradientsOfOverlappingWindows) {
  test::for_each_isa([] {
    const std::vector<float> gy{1, 2, 4, 8};
    const std::vector<int32_t> index{1, 0, 0, 3};
    Guarded<float> gx(9);
    run<MaxPoolBackward<float>>({shape(1, 3, 3, 1, 2, 1, 0), gy.data(), index.data(), gx.data()});
    EXPECT_EQ(gx.values(), (std::vector<float>{0, 3, 0, 4, 0, 0, 0, 0, 8}));
  });
}

TEST(AvgPool, CountsPaddingOnlyWhenAsked) {
  test::for_each_isa([] {
    const std::vector<float> x{1, 2, 3, 6};
    Guarded<float> y(1);
    run<AvgPool<float>>({shape(1, 2, 2, 1, 3, 3, 1, true), x.data(), y.data()});
    EXPECT_FLOAT_EQ(y[0], 12.0F / 9);
    run<AvgPool<float>>({shape(1, 2, 2, 1, 3, 3, 1, false), x.data(), y.data()});
    EXPECT_EQ(y[0], 3);
    Guarded<float> gx(4);
    const float gy = 8;
    run<AvgPoolBackward<float>>({shape(1, 2, 2, 1, 3, 3, 1, false), &gy, gx.data()});
    EXPECT_EQ(gx.values(), std::vector<float>(4, 2));
  });
}

TEST(AvgPool, FloatAgreesWithDouble) {
  test::for_each_isa([] {
    Random random(13);
    for (const PoolShape& s : shapes()) {
      SCOPED_TRACE(describe(s));
      const std::vector<float> x = test::random_normal(random, in_size(s)),
                               gy = test::random_normal(random, out_size(s));
      const std::vector<double> xd = test::widened(x), gyd = test::widened(gy);
      std::vector<double> yd(gy.size()), gxd(x.size());
      Guarded<float> y(out_size(s)), gx(in_size(s));
      run<AvgPool<float>>({s, x.data(), y.data()});
      run<AvgPool<double>>({s, xd.data(), yd.data()});
      test::expect_close(y.values(), yd, 0.1);
      run<AvgPoolBackward<float>>({s, gy.data(), gx.data()});
      run<AvgPoolBackward<double>>({s, gyd.data(), gxd.data()});
      test::expect_close(gx.values(), gxd, 0.1);
      EXPECT_TRUE(y.intact() && gx.intact());
    }
  });
}

TEST(Pool, ResultsDoNotDependOnThreads) {
  Random random(14);
  const PoolShape s = shape(5, 13, 13, 40, 3, 2, 1);
  const std::vector<float> x = test::random_normal(random, in_size(s)),
                           gy = test::random_normal(random, out_size(s));
  test::for_each_isa([&] {
    test::expect_same_for_any_thread_count([&] {
      std::vector<float> y(gy.size()), average(gy.size()), gx(x.size());
      std::vector<int32_t> index(gy.size());
      run<MaxPool<float>>({s, x.data(), y.data(), index.data()});
      run<AvgPool<float>>({s, x.data(), average.data()});
      run<MaxPoolBackward<float>>({s, gy.data(), index.data(), gx.data()});
      y.insert(y.end(), average.begin(), average.end());
      y.insert(y.end(), gx.begin(), gx.end());
      run<AvgPoolBackward<float>>({s, gy.data(), gx.data()});
      y.insert(y.end(), gx.begin(), gx.end());
      return y;
    });
  });
}

}  // namespace stair::kernels
