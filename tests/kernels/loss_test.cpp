#include "kernels/loss/loss.h"

#include <limits>

#include "tests/support/guarded.h"

namespace stair::kernels {
namespace {

using test::Guarded;

constexpr int64_t kIgnore = -100;

std::vector<int64_t> random_targets(Random& random, int64_t rows, int64_t classes) {
  std::vector<int64_t> target(static_cast<size_t>(rows));
  for (int64_t& t : target)
    t = random.below(8) == 0 ? kIgnore
                             : static_cast<int64_t>(random.below(static_cast<uint64_t>(classes)));
  return target;
}

}  // namespace

TEST(CrossEntropy, LossAndGradientAreThoseOfTheFormula) {
  test::for_each_isa([] {
    // Probabilities 1/2, 1/4, 1/4.
    const std::vector<float> x{std::log(2.0F), 0, 0};
    const int64_t target = 1;
    Guarded<float> loss(1), grad(3);
    run<SoftmaxCrossEntropy<float>>(
        {1, 3, x.data(), &target, 0.0F, kIgnore, loss.data(), grad.data()});
    EXPECT_FLOAT_EQ(loss[0], std::log(4.0F));
    test::expect_close(grad.values(), {0.5, -0.75, 0.25});
    run<SoftmaxCrossEntropy<float>>(
        {1, 3, x.data(), &target, 0.3F, kIgnore, loss.data(), grad.data()});
    EXPECT_FLOAT_EQ(loss[0], 0.1F * std::log(2.0F) + 0.9F * std::log(4.0F));
    test::expect_close(grad.values(), {0.4, -0.55, 0.15});
  });
}

TEST(CrossEntropy, IgnoredRowsGiveNothing) {
  test::for_each_isa([] {
    const std::vector<float> x{1, 2, NAN, 4};
    const std::vector<int64_t> target{0, kIgnore};
    Guarded<float> loss(2), grad(4);
    run<SoftmaxCrossEntropy<float>>(
        {2, 2, x.data(), target.data(), 0.1F, kIgnore, loss.data(), grad.data()});
    EXPECT_GT(loss[0], 1);
    EXPECT_EQ(loss[1], 0);
    EXPECT_EQ(grad[2], 0);
    EXPECT_EQ(grad[3], 0);
  });
}

TEST(CrossEntropy, HugeLogitsDoNotOverflowAndAbsentClassesAddNothing) {
  test::for_each_isa([] {
    const std::vector<float> x{3e38F, -3e38F, -std::numeric_limits<float>::infinity()};
    const int64_t target = 0;
    Guarded<float> loss(1), grad(3);
    run<SoftmaxCrossEntropy<float>>(
        {1, 3, x.data(), &target, 0.0F, kIgnore, loss.data(), grad.data()});
    EXPECT_EQ(loss[0], 0);
    EXPECT_EQ(grad.values(), std::vector<float>(3, 0));
  });
}

TEST(CrossEntropy, FloatAgreesWithDouble) {
  test::for_each_isa([] {
    Random random(21);
    for (int64_t classes : {1, 2, 7, 10, 16, 31, 70, 1000})
      for (int64_t rows : {0, 1, 33}) {
        SCOPED_TRACE(testing::Message() << rows << " x " << classes);
        const std::vector<float> x = test::random_normal(random, rows * classes, 5, 4);
        const std::vector<double> xd = test::widened(x);
        const std::vector<int64_t> target = random_targets(random, rows, classes);
        for (float smoothing : {0.0F, 0.125F}) {
          Guarded<float> loss(rows), alone(rows), grad(rows * classes);
          std::vector<double> lossd(target.size()), gradd(x.size());
          run<SoftmaxCrossEntropy<float>>({rows, classes, x.data(), target.data(), smoothing,
                                           kIgnore, loss.data(), grad.data()});
          run<SoftmaxCrossEntropy<float>>(
              {rows, classes, x.data(), target.data(), smoothing, kIgnore, alone.data(), nullptr});
          run<SoftmaxCrossEntropy<double>>({rows, classes, xd.data(), target.data(), smoothing,
                                            kIgnore, lossd.data(), gradd.data()});
          test::expect_close(loss.values(), lossd, 1.0);
          test::expect_close(alone.values(), lossd, 1.0);
          test::expect_close(grad.values(), gradd, 1.0, 1e-6);
          EXPECT_TRUE(loss.intact() && grad.intact());
        }
      }
  });
}

TEST(Softmax, FloatAgreesWithDoubleAndWorksInPlace) {
  test::for_each_isa([] {
    Random random(22);
    for (int64_t classes : {0, 1, 3, 16, 33, 70, 513})
      for (bool log : {false, true}) {
        const int64_t rows = 9;
        const std::vector<float> x = test::random_normal(random, rows * classes, -3, 6);
        const std::vector<double> xd = test::widened(x);
        std::vector<double> yd(x.size());
        Guarded<float> y(x);
        run<Softmax<float>>({rows, classes, log, y.data(), y.data()});
        run<Softmax<double>>({rows, classes, log, xd.data(), yd.data()});
        test::expect_close(y.values(), yd, log ? 1.0 : 1e-30);
        EXPECT_TRUE(y.intact());
      }
  });
}

TEST(Softmax, RowsSumToOne) {
  const std::vector<float> x{1, 2, 3, 1000, 1000, 1000};
  Guarded<float> y(6);
  test::for_each_isa([&] {
    run<Softmax<float>>({2, 3, false, x.data(), y.data()});
    EXPECT_NEAR(y[0] + y[1] + y[2], 1, 1e-6);
    EXPECT_FLOAT_EQ(y[5], 1.0F / 3);
    EXPECT_FLOAT_EQ(y[2] / y[1], std::exp(1.0F));
  });
}

TEST(CrossEntropy, ResultsDoNotDependOnThreads) {
  Random random(23);
  const std::vector<float> x = test::random_normal(random, 200 * 1000);
  const std::vector<int64_t> target = random_targets(random, 200, 1000);
  test::for_each_isa([&] {
    test::expect_same_for_any_thread_count([&] {
      std::vector<float> loss(200), grad(x.size());
      run<SoftmaxCrossEntropy<float>>(
          {200, 1000, x.data(), target.data(), 0.1F, kIgnore, loss.data(), grad.data()});
      grad.insert(grad.end(), loss.begin(), loss.end());
      return grad;
    });
  });
}

}  // namespace stair::kernels
