#include "kernels/optimizer/optimizer.h"

#include "tests/support/guarded.h"

namespace stair::kernels {
namespace {

using test::Guarded;

Sgd<float>::Args sgd_options(double momentum, double dampening, double weight_decay,
                             bool nesterov) {
  return {.n = 0,
          .lr = 0.1,
          .momentum = momentum,
          .dampening = dampening,
          .weight_decay = weight_decay,
          .nesterov = nesterov,
          .first = true,
          .g = nullptr,
          .v = nullptr,
          .p = nullptr};
}

Adam<float>::Args adam_options(double weight_decay, bool decoupled) {
  return {.n = 0,
          .lr = 1e-3,
          .beta1 = 0.9,
          .beta2 = 0.999,
          .eps = 1e-8,
          .weight_decay = weight_decay,
          .decoupled = decoupled,
          .step = 1,
          .g = nullptr,
          .m = nullptr,
          .v = nullptr,
          .p = nullptr};
}

struct State {
  std::vector<float> p, m, v;
  bool operator==(const State&) const = default;
};

// Three steps on n random parameters.
State run_sgd(Sgd<float>::Args a, int64_t n, uint64_t seed) {
  Random random(seed);
  Guarded<float> p(test::random_normal(random, n)), v(n);
  for (int step = 0; step < 3; ++step) {
    const std::vector<float> g = test::random_normal(random, n);
    a.n = n;
    a.first = step == 0;
    a.g = g.data();
    a.v = a.momentum == 0 ? nullptr : v.data();
    a.p = p.data();
    run<Sgd<float>>(a);
  }
  EXPECT_TRUE(p.intact() && v.intact());
  return {p.values(), {}, a.momentum == 0 ? std::vector<float>{} : v.values()};
}

State run_adam(Adam<float>::Args a, int64_t n, uint64_t seed) {
  Random random(seed);
  const std::vector<float> zero(static_cast<size_t>(n), 0.0F);
  Guarded<float> p(test::random_normal(random, n)), m(zero), v(zero);
  for (a.step = 1; a.step <= 3; ++a.step) {
    const std::vector<float> g = test::random_normal(random, n);
    a.n = n;
    a.g = g.data();
    a.m = m.data();
    a.v = v.data();
    a.p = p.data();
    run<Adam<float>>(a);
  }
  EXPECT_TRUE(p.intact() && m.intact() && v.intact());
  return {p.values(), m.values(), v.values()};
}

const Sgd<float>::Args kSgd[] = {
    sgd_options(0, 0, 0, false), sgd_options(0, 0, 0.01, false), sgd_options(0.9, 0, 1e-4, false),
    sgd_options(0.9, 0.1, 0.01, false), sgd_options(0.9, 0, 0.01, true)};
const Adam<float>::Args kAdam[] = {adam_options(0, false), adam_options(0.1, false),
                                   adam_options(0.1, true)};

}  // namespace

TEST(Sgd, StepsAreThoseOfTheFormula) {
  test::for_each_isa([] {
    Sgd<double>::Args a{.n = 1,
                        .lr = 0.5,
                        .momentum = 0.5,
                        .dampening = 0.25,
                        .weight_decay = 0.5,
                        .nesterov = false,
                        .first = true,
                        .g = nullptr,
                        .v = nullptr,
                        .p = nullptr};
    double g = 1, v = 99, p = 2;
    a.g = &g, a.v = &v, a.p = &p;
    run<Sgd<double>>(a);  // g = 2, v = 2, p = 2 - 1
    EXPECT_EQ(v, 2);
    EXPECT_EQ(p, 1);
    a.first = false;
    run<Sgd<double>>(a);  // g = 1.5, v = 1 + 0.75 * 1.5
    EXPECT_EQ(v, 2.125);
    EXPECT_EQ(p, 1 - 0.5 * 2.125);
    p = 1, v = 2.125, a.nesterov = true;
    run<Sgd<double>>(a);  // v = 1.0625 + 1.125, d = 1.5 + 0.5 * v
    EXPECT_EQ(v, 2.1875);
    EXPECT_EQ(p, 1 - 0.5 * (1.5 + 0.5 * 2.1875));
  });
}

TEST(Adam, FirstStepMovesByTheLearningRate) {
  test::for_each_isa([] {
    float g = 0.01F, m = 0, v = 0, p = 1;
    Adam<float>::Args a = adam_options(0, false);
    a.n = 1, a.g = &g, a.m = &m, a.v = &v, a.p = &p;
    run<Adam<float>>(a);
    EXPECT_FLOAT_EQ(m, 1e-3F);
    EXPECT_FLOAT_EQ(v, 1e-7F);
    EXPECT_NEAR(p, 1 - 1e-3 * 0.01 / (0.01 + 1e-8), 1e-7);
  });
}

TEST(Adam, DecoupledDecayShrinksTheParameterOnly) {
  test::for_each_isa([] {
    float g = 0, m = 0, v = 0, p = 1;
    Adam<float>::Args a = adam_options(0.5, true);
    a.n = 1, a.g = &g, a.m = &m, a.v = &v, a.p = &p;
    run<Adam<float>>(a);
    EXPECT_EQ(p, static_cast<float>(1 - 1e-3 * 0.5));
    EXPECT_EQ(m, 0);
  });
}

TEST(OptimizerExact, StepsAgreeWithTheReference) {
  test::for_each_isa([] {
    for (int64_t n : {0, 1, 7, 16, 19, 100, 17003}) {
      const auto seed = static_cast<uint64_t>(n);
      for (const auto& a : kSgd) {
        const State got = run_sgd(a, n, seed);
        const IsaScope scope(Isa::ref);
        EXPECT_EQ(got, run_sgd(a, n, seed)) << n;
      }
      for (const auto& a : kAdam) {
        const State got = run_adam(a, n, seed);
        const IsaScope scope(Isa::ref);
        EXPECT_EQ(got, run_adam(a, n, seed)) << n;
      }
    }
  });
}

TEST(Optimizer, ResultsDoNotDependOnThreads) {
  test::for_each_isa([] {
    test::expect_same_for_any_thread_count([] {
      State s = run_sgd(kSgd[2], 40001, 1);
      const State t = run_adam(kAdam[2], 40001, 1);
      s.p.insert(s.p.end(), t.p.begin(), t.p.end());
      return s.p;
    });
  });
}

}  // namespace stair::kernels
