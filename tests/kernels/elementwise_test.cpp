#include "kernels/elementwise/elementwise.h"

#include "tests/support/guarded.h"

namespace stair::kernels {
namespace {

using test::Guarded;

constexpr UnaryFn kFunctions[] = {
    UnaryFn::relu, UnaryFn::relu6,       UnaryFn::clamp,     UnaryFn::leaky_relu, UnaryFn::sigmoid,
    UnaryFn::tanh, UnaryFn::hardsigmoid, UnaryFn::hardswish, UnaryFn::silu,       UnaryFn::gelu};
constexpr BinaryFn kBinary[] = {BinaryFn::add, BinaryFn::sub, BinaryFn::mul, BinaryFn::div};

template <class T>
T unary(UnaryFn fn, T x, T alpha = 0, T beta = 0) {
  T y;
  run<Unary<T>>({fn, 1, &x, &y, alpha, beta});
  return y;
}

float slope(UnaryFn fn, float x, float alpha = 0, float beta = 0) {
  const float gy = 1;
  float gx;
  run<UnaryBackward<float>>({fn, 1, &x, &gy, &gx, alpha, beta});
  return gx;
}

// Values of every size, among them the kinks of the functions and their neighbours.
std::vector<float> inputs(Random& random, int64_t n) {
  constexpr float kSpecial[] = {0,  -0.0F, 3,   -3,   6,     1e-40F, -1e-40F, 30,    -30,
                                88, -88,   200, -200, 1e-4F, -1e-4F, 0.625F,  1e30F, -1e30F};
  std::vector<float> x = test::random_normal(random, n, 0, 4);
  for (float& v : x)
    if (random.below(4) == 0) v = kSpecial[random.below(std::size(kSpecial))];
  return x;
}

}  // namespace

TEST(Elementwise, UnaryValuesAreThoseOfTheFormulas) {
  test::for_each_isa([] {
    EXPECT_EQ(unary(UnaryFn::relu, -2.0F), 0);
    EXPECT_EQ(unary(UnaryFn::relu, 2.0F), 2);
    EXPECT_EQ(unary(UnaryFn::relu6, 7.0F), 6);
    EXPECT_EQ(unary(UnaryFn::clamp, 7.0F, -1.0F, 2.0F), 2);
    EXPECT_EQ(unary(UnaryFn::clamp, -7.0F, -1.0F, 2.0F), -1);
    EXPECT_EQ(unary(UnaryFn::leaky_relu, -2.0F, 0.25F), -0.5F);
    EXPECT_FLOAT_EQ(unary(UnaryFn::sigmoid, 1.0F), 0.7310585786F);
    EXPECT_FLOAT_EQ(unary(UnaryFn::tanh, 0.5F), 0.4621171573F);
    EXPECT_FLOAT_EQ(unary(UnaryFn::hardsigmoid, 1.5F), 0.75F);
    EXPECT_FLOAT_EQ(unary(UnaryFn::hardswish, 1.5F), 1.125F);
    EXPECT_FLOAT_EQ(unary(UnaryFn::silu, 1.0F), 0.7310585786F);
    EXPECT_FLOAT_EQ(unary(UnaryFn::gelu, 1.0F), 0.8413447461F);
    EXPECT_FLOAT_EQ(unary(UnaryFn::gelu, -4.0F), -1.2668496e-4F);
  });
}

TEST(Elementwise, GradientsAtTheKinksAreThoseOfTheContract) {
  test::for_each_isa([] {
    EXPECT_EQ(slope(UnaryFn::relu, 0), 0);
    EXPECT_EQ(slope(UnaryFn::relu6, 0), 0);
    EXPECT_EQ(slope(UnaryFn::relu6, 6), 0);
    EXPECT_EQ(slope(UnaryFn::clamp, -1, -1, 2), 1);
    EXPECT_EQ(slope(UnaryFn::clamp, 2, -1, 2), 1);
    EXPECT_EQ(slope(UnaryFn::leaky_relu, 0, 0.25F), 0.25F);
    EXPECT_EQ(slope(UnaryFn::hardsigmoid, 3), 0);
    EXPECT_EQ(slope(UnaryFn::hardsigmoid, -3), 0);
    EXPECT_EQ(slope(UnaryFn::hardswish, -3), 0);
    EXPECT_EQ(slope(UnaryFn::hardswish, 3), 1);
  });
}

TEST(Elementwise, NanStaysNan) {
  test::for_each_isa([] {
    for (UnaryFn fn : kFunctions)
      EXPECT_TRUE(std::isnan(unary(fn, NAN, -1.0F, 1.0F))) << static_cast<int>(fn);
  });
}

TEST(Elementwise, DoubleGradientsMatchDifferenceQuotients) {
  constexpr double kStep = 1e-5, kAlpha = -0.6, kBeta = 0.9, kGy = 1.5;
  for (UnaryFn fn : kFunctions)
    for (double x : {-3.7, -1.2, -0.4, 0.3, 1.7, 4.1, 7.2}) {
      double gx;
      run<UnaryBackward<double>>({fn, 1, &x, &kGy, &gx, kAlpha, kBeta});
      const double quotient =
          (unary(fn, x + kStep, kAlpha, kBeta) - unary(fn, x - kStep, kAlpha, kBeta)) / (2 * kStep);
      EXPECT_NEAR(gx, kGy * quotient, 1e-8) << static_cast<int>(fn) << " at " << x;
    }
}

void expect_agreement(UnaryFn fn, int64_t n, float alpha, float beta, Random& random) {
  SCOPED_TRACE(testing::Message() << "function " << static_cast<int>(fn) << ", " << n
                                  << " elements, alpha " << alpha << ", beta " << beta);
  const std::vector<float> x = inputs(random, n), gy = test::random_normal(random, n);
  const std::vector<double> xd = test::widened(x), gyd = test::widened(gy);
  std::vector<double> yd(xd.size()), gxd(xd.size());
  run<Unary<double>>({fn, n, xd.data(), yd.data(), alpha, beta});
  run<UnaryBackward<double>>({fn, n, xd.data(), gyd.data(), gxd.data(), alpha, beta});
  test::for_each_isa([&] {
    Guarded<float> y(n), gx(n);
    run<Unary<float>>({fn, n, x.data(), y.data(), alpha, beta});
    test::expect_close(y.values(), yd);
    run<UnaryBackward<float>>({fn, n, x.data(), gy.data(), gx.data(), alpha, beta});
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(i);
      const double size = std::max<double>(std::abs(gxd[at]), std::abs(gy[at]));
      ASSERT_LE(std::abs(gx[i] - gxd[at]), 1e-5 * size) << "x = " << x[at];
    }
    EXPECT_TRUE(y.intact() && gx.intact());
  });
}

TEST(Elementwise, FloatFunctionsAgreeWithDouble) {
  Random random(1);
  for (UnaryFn fn : kFunctions)
    for (int64_t n : {0, 1, 7, 15, 16, 17, 33, 100, 1003, 33001})
      expect_agreement(fn, n, -0.375F, 0.75F, random);
}

TEST(Elementwise, FloatFunctionsAgreeWithDoubleOnRandomLengths) {
  Random random(5);
  for (size_t i = 0; i < 500; ++i)
    expect_agreement(kFunctions[i % std::size(kFunctions)],
                     1 + static_cast<int64_t>(random.below(300)), -random.uniform(),
                     random.uniform(), random);
}

TEST(ElementwiseExact, BinaryAndAxpyAreTheRoundedOperations) {
  test::for_each_isa([] {
    Random random(2);
    std::vector<int64_t> lengths = {0, 1, 5, 16, 31, 64, 1001, 70003};
    for (int64_t n = 2; n <= 502; ++n) lengths.push_back(n);
    for (int64_t n : lengths) {
      const std::vector<float> a = test::random_normal(random, n),
                               b = test::random_normal(random, n);
      for (BinaryFn fn : kBinary) {
        Guarded<float> y(n);
        run<Binary<float>>({fn, n, a.data(), b.data(), y.data()});
        for (int64_t i = 0; i < n; ++i) {
          const float l = a[static_cast<size_t>(i)], r = b[static_cast<size_t>(i)];
          ASSERT_EQ(y[i], fn == BinaryFn::add   ? l + r
                          : fn == BinaryFn::sub ? l - r
                          : fn == BinaryFn::mul ? l * r
                                                : l / r);
        }
        EXPECT_TRUE(y.intact());
      }
      Guarded<float> y(b);
      run<Axpy<float>>({n, 0.3F, a.data(), y.data()});
      for (int64_t i = 0; i < n; ++i) {
        const float product = 0.3F * a[static_cast<size_t>(i)];
        ASSERT_EQ(y[i], b[static_cast<size_t>(i)] + product);
      }
      EXPECT_TRUE(y.intact());
    }
  });
}

TEST(ElementwiseExact, WhatIsStoredFarIsTheSameAtAnyAddress) {
  test::for_each_isa([] {
    Random random(4);
    for (int64_t n : {0, 1, 7, 16, 33, 64, 100, 1001})
      for (int64_t offset = 0; offset < 17; ++offset) {
        const std::vector<float> x = test::random_normal(random, n);
        Guarded<float> y(n + offset);
        std::fill_n(y.data(), offset, 3.0F);
        run<StoreFar<float>>({n, x.data(), y.data() + offset});
        EXPECT_TRUE(y.intact());
        for (int64_t i = 0; i < offset; ++i) ASSERT_EQ(y[i], 3.0F);
        for (int64_t i = 0; i < n; ++i) ASSERT_EQ(y[offset + i], x[static_cast<size_t>(i)]);
      }
  });
}

TEST(Elementwise, OutputMayBeTheInput) {
  test::for_each_isa([] {
    Random random(3);
    const std::vector<float> x = test::random_normal(random, 1001);
    std::vector<float> in_place = x, apart(x.size());
    for (UnaryFn fn : {UnaryFn::relu, UnaryFn::silu}) {
      run<Unary<float>>({fn, 1001, in_place.data(), apart.data()});
      run<Unary<float>>({fn, 1001, in_place.data(), in_place.data()});
      EXPECT_EQ(in_place, apart);
    }
    run<Binary<float>>({BinaryFn::add, 1001, x.data(), in_place.data(), apart.data()});
    run<Binary<float>>({BinaryFn::add, 1001, x.data(), in_place.data(), in_place.data()});
    EXPECT_EQ(in_place, apart);
  });
}

TEST(Elementwise, ResultsDoNotDependOnThreads) {
  Random random(4);
  const std::vector<float> x = test::random_normal(random, 70001);
  test::for_each_isa([&] {
    test::expect_same_for_any_thread_count([&] {
      std::vector<float> y(x.size());
      run<Unary<float>>({UnaryFn::gelu, 70001, x.data(), y.data()});
      return y;
    });
  });
}

}  // namespace stair::kernels
