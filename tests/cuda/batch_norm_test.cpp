// The threads of the GPU's kernels, run on the CPU.
#include "autograd/ops/batch_norm.h"

#include "tests/cuda/batch_norm_cases.h"
#include "tests/support/sanitizers.h"

namespace stair::cuda {
namespace {

using autograd::Variable;

// Every thread once, far from their order. The step is a prime that divides no count of threads.
struct Scrambled {
  template <class Phase>
  void operator()(int64_t threads, const Phase& phase) const {
    constexpr int64_t kStep = 1000003;
    ASSERT_TRUE(threads == 0 || threads % kStep != 0);
    for (int64_t k = 1; k <= threads; ++k) phase(k * kStep % threads);
  }
};

// All at once: ThreadSanitizer sees what they share.
struct AtOnce {
  template <class Phase>
  void operator()(int64_t threads, const Phase& phase) const {
    parallel_for(threads, 64, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) phase(t);
    });
  }
};

std::vector<Case> cases(uint64_t seed) {
  std::vector<Case> all = edge_cases();
  Random random(seed);
  for (int i = 0; i < support::kRandomShapes; ++i) all.push_back(random_case(random));
  return all;
}

Outputs<double> widened(const Outputs<float>& o) {
  return {test::widened(o.mean), test::widened(o.var), test::widened(o.invstd),
          test::widened(o.y),    test::widened(o.gx),  test::widened(o.ggamma),
          test::widened(o.gbeta)};
}

std::vector<float> values(const Tensor& t) {
  return {t.data<float>(), t.data<float>() + t.numel()};
}

}  // namespace

TEST(BatchNormThreads, AgreeWithTheDefinitionInDouble) {
  uint64_t seed = 0;
  for (const Case& k : cases(1)) {
    const Inputs in = inputs(k, ++seed);
    expect_agreement(k, in, on_threads(k, in, Scrambled()), on_cpu<double>(k, in));
    if (HasFatalFailure()) return;
  }
}

TEST(BatchNormThreads, AgreeWithTheKernelsOfTheCpu) {
  uint64_t seed = 1000;
  for (const Case& k : cases(2)) {
    const Inputs in = inputs(k, ++seed);
    const Outputs<float> got = on_threads(k, in, InOrder());
    test::for_each_isa([&] { expect_agreement(k, in, got, widened(on_cpu<float>(k, in))); });
    if (HasFatalFailure()) return;
  }
}

TEST(BatchNormThreads, AnyOrderGivesTheSameBits) {
  for (const Case& k : {Case{1, 70, true, true, 1, 1}, Case{5000, 17, true, true, 1, 1},
                        Case{40000, 1, true, false, 1, 1}, Case{1100, 130, false, true, 1, 1}}) {
    const Inputs in = inputs(k, 7);
    const Outputs<float> expected = on_threads(k, in, InOrder());
    expect_same_bits(on_threads(k, in, Scrambled()), expected);
    expect_same_bits(on_threads(k, in, AtOnce()), expected);
  }
}

TEST(BatchNormThreads, VarianceIsAccurateWhenTheMeanIsMuchLargerThanTheDeviation) {
  const Case k{5000, 17, true, false, 2.5e5F, 0.25F};
  const Inputs in = inputs(k, 8);
  const Outputs<float> got = on_threads(k, in, InOrder());
  test::expect_close(got.var, on_cpu<double>(k, in).var, 1e-30, 1e-6);
}

TEST(BatchNormThreads, OneOutlierInTheFirstRowDoesNotSpoilTheVariance) {
  const Case k{40000, 2, true, false, 0, 1};
  Inputs in = inputs(k, 3);
  in.x[0] = in.x[1] = 1e6F;
  const Outputs<float> got = on_threads(k, in, InOrder());
  test::expect_close(got.var, on_cpu<double>(k, in).var, 1e-30, 1e-6);
}

TEST(BatchNormThreads, ConstantChannelsHaveNoVariance) {
  const Case k{777, 3, true, true, 0, 1};
  Inputs in = inputs(k, 4);
  for (float& v : in.x) v = 0.1F;
  const Outputs<float> got = on_threads(k, in, InOrder());
  EXPECT_EQ(got.mean, std::vector<float>(3, 0.1F));
  EXPECT_EQ(got.var, std::vector<float>(3, 0.0F));
  for (size_t i = 0; i < got.y.size(); ++i) EXPECT_EQ(got.y[i], in.beta[i % 3]);
}

TEST(BatchNormThreads, ResultsMayOverwriteOperandsAndTheInputGradientBeLeftOut) {
  const Case k{90, 19, true, false, 0, 1};
  const Inputs in = inputs(k, 5);
  const Outputs<float> apart = on_threads(k, in, InOrder());
  std::vector<float> mean(19), var(19), invstd(19), x = in.x, gy = in.gy, ggamma(19), gbeta(19);
  std::vector<double> memory(
      static_cast<size_t>(Pass<BatchNormForwardArgs>::workspace(k.rows, k.channels)));
  BatchNormBackwardArgs b{90,
                          19,
                          true,
                          in.x.data(),
                          gy.data(),
                          nullptr,
                          in.saved_mean.data(),
                          in.saved_invstd.data(),
                          nullptr,
                          ggamma.data(),
                          gbeta.data()};
  run_phases({b, memory.data()}, Scrambled());
  EXPECT_EQ(ggamma, apart.ggamma);
  EXPECT_EQ(gy, in.gy);
  b.gx = gy.data();
  run_phases({b, memory.data()}, Scrambled());
  EXPECT_EQ(gy, apart.gx);
  run_phases({BatchNormForwardArgs{90, 19, true, 1e-5F, x.data(), nullptr, nullptr, mean.data(),
                                   var.data(), invstd.data(), x.data()},
              memory.data()},
             Scrambled());
  EXPECT_EQ(x, apart.y);
}

// The whole operation of a training step, with its running statistics.
TEST(BatchNormThreads, AgreeWithTheOperationOfAutograd) {
  for (const Case& k : {Case{2, 3, true, true, 1, 1}, Case{4000, 16, true, true, 100, 2}}) {
    const Inputs in = inputs(k, 6);
    const auto tensor = [&](const std::vector<float>& v, const Shape& shape) {
      Tensor t = Tensor::empty(shape, DType::f32);
      std::copy(v.begin(), v.end(), t.data<float>());
      return Variable(t);
    };
    const Shape channels{k.channels};
    const Variable mean = tensor(in.mean, channels), var = tensor(in.var, channels);
    const Variable y =
        autograd::batch_norm(tensor(in.x, {k.rows, k.channels}), tensor(in.gamma, channels),
                             tensor(in.beta, channels), mean, var, {true, 0.1, 1e-5});
    const Outputs<float> got = on_threads(k, in, Scrambled());
    std::vector<float> running_mean = in.mean, running_var = in.var;
    Scrambled()(k.channels, UpdateRunning{{k.rows, k.channels, 0.1, got.mean.data(), got.var.data(),
                                           running_mean.data(), running_var.data()}});
    test::expect_close(running_mean, test::widened(values(mean.value())), k.mean, 1e-6);
    test::expect_close(running_var, test::widened(values(var.value())), 1e-30, 1e-6);
    test::expect_close(got.y, test::widened(values(y.value())), 4, 1e-6);
    EXPECT_NE(running_var, in.var);
  }
}

}  // namespace stair::cuda
