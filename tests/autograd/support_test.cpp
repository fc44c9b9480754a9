// The means of the other tests: they have to see what is wrong.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/golden.h"
#include "tests/support/gradcheck.h"

namespace stair::test {
namespace {

using autograd::Variable;

// Twice x, with the gradient of 3 times x.
Variable wrong(const std::vector<Variable>& in) {
  Tensor y = in[0].value().clone();
  for (int64_t i = 0; i < y.numel(); ++i) y.data<double>()[i] *= 2;
  return autograd::record("wrong", in, y, [](const Tensor& gy) {
    Tensor gx = gy.clone();
    for (int64_t i = 0; i < gx.numel(); ++i) gx.data<double>()[i] *= 3;
    return std::vector<Tensor>{gx};
  });
}

}  // namespace

TEST(Gradcheck, SeesAWrongGradient) {
  EXPECT_FATAL_FAILURE(check_gradients(wrong, {random_leaf({3}, 1)}), "element 0");
}

TEST(Golden, MismatchCountsAndNamesTheFirstElement) {
  const Tensor want = Tensor::from<float>({1, 2, NAN, 4}, {2, 2});
  EXPECT_EQ(mismatch(want, want, {}), "");
  EXPECT_EQ(mismatch(Tensor::from<float>({1, 3, NAN, 5}, {2, 2}), want, {0.1, 0}),
            "2 of 4 elements of [2,2] differ, the first at 1: 3, expected 2 within 0 + 0.1 * it");
  EXPECT_EQ(mismatch(Tensor::from<float>({1, 3, NAN, 5}, {2, 2}), want, {0.25, 0.5}), "");
  EXPECT_NE(mismatch(Tensor::from<float>({1, 2, 0, 4}, {2, 2}), want, {1, 1}), "");
  EXPECT_EQ(mismatch(want.reshape({4}), want, {}), "shape [4], expected [2,2]");
  EXPECT_EQ(mismatch(Tensor(), want, {}), "there is none, expected [2,2] f32");
}

TEST(Golden, LayoutsArePermutedAndBack) {
  const Tensor t = Tensor::from<int32_t>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {1, 2, 2, 3});
  const Tensor last = channels_last(t);
  EXPECT_EQ(last.shape(), (Shape{1, 2, 3, 2}));
  EXPECT_EQ(mismatch(last.reshape({12}),
                     Tensor::from<int32_t>({0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11}, {12}), {}),
            "");
  EXPECT_EQ(mismatch(channels_first(last), t, {}), "");
  EXPECT_EQ(move_axis(t, 3, 1).shape(), (Shape{1, 3, 2, 2}));
}

TEST(Golden, AnOperationWithoutRunnerIsAFailureThatNamesIt) {
  const std::vector<GoldenCase> cases = golden_cases("fakequant");
  if (cases.empty()) GTEST_SKIP() << "the folder has no case of group fakequant";
  testing::TestPartResultArray results;
  {
    const testing::ScopedFakeTestPartResultReporter reporter(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
    run_golden_group("fakequant", {});
  }
  ASSERT_EQ(results.size(), static_cast<int>(cases.size()));
  EXPECT_NE(std::string(results.GetTestPartResult(0).message())
                .find("operation '" + cases[0].op() + "' of group fakequant has no runner"),
            std::string::npos);
}

}  // namespace stair::test
