#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/cross_entropy.h"
#include "autograd/ops/log_softmax.h"
#include "autograd/ops/mean.h"
#include "autograd/ops/mse_loss.h"
#include "autograd/ops/softmax.h"
#include "autograd/ops/sum.h"
#include "tests/support/gradcheck.h"

namespace stair::autograd {
namespace {

using test::check_gradients;
using test::random_leaf;

double scalar(const Variable& v) {
  return v.value().item<double>();
}

}  // namespace

TEST(LossGrad, SoftmaxAndItsLogarithmAgreeWithDifferences) {
  for (const Shape& shape : {Shape{3, 5}, Shape{2, 2, 3}, Shape{4}, Shape{2, 1}}) {
    check_gradients([](const auto& in) { return softmax(in[0]); }, {random_leaf(shape, 1, -3, 3)});
    check_gradients([](const auto& in) { return log_softmax(in[0]); },
                    {random_leaf(shape, 1, -3, 3)});
  }
}

TEST(LossGrad, CrossEntropyAgreesWithDifferencesForEveryReduction) {
  const Tensor target = Tensor::from<int64_t>({2, -100, 0, 4}, {4});
  for (Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none})
    for (double smoothing : {0.0, 0.1})
      check_gradients(
          [&](const auto& in) {
            return cross_entropy(in[0], target, {smoothing, -100, reduction});
          },
          {random_leaf({4, 5}, 1, -3, 3)});
}

TEST(LossGrad, MseMeanAndSumAgreeWithDifferences) {
  check_gradients([](const auto& in) { return mse_loss(in[0], in[1]); },
                  {random_leaf({3, 4}, 1), random_leaf({3, 4}, 2)});
  check_gradients([](const auto& in) { return mean(in[0]); }, {random_leaf({3, 1, 4}, 1)});
  check_gradients([](const auto& in) { return sum(in[0]); }, {random_leaf({3, 1, 4}, 1)});
  check_gradients([](const auto& in) { return sum(in[0]); }, {random_leaf({}, 1)});
}

TEST(Loss, CrossEntropyIsThatOfTheFormula) {
  const Variable x(Tensor::from<double>({0, std::log(3), 0, 0}, {2, 2}));
  const Tensor target = Tensor::from<int64_t>({1, 0}, {2});
  EXPECT_NEAR(scalar(cross_entropy(x, target, {.reduction = Reduction::sum})),
              -std::log(0.75) - std::log(0.5), 1e-12);
  EXPECT_NEAR(scalar(cross_entropy(x, target)), (-std::log(0.75) - std::log(0.5)) / 2, 1e-12);
}

TEST(Loss, MeanIsOverTheRowsThatAreNotIgnored) {
  const Variable x(Tensor::from<double>({0, std::log(3), 50, 0}, {2, 2}));
  const Tensor target = Tensor::from<int64_t>({1, 7}, {2});
  EXPECT_NEAR(scalar(cross_entropy(x, target, {.ignore_index = 7})), -std::log(0.75), 1e-12);
  EXPECT_TRUE(std::isnan(
      scalar(cross_entropy(x, Tensor::from<int64_t>({7, 7}, {2}), {.ignore_index = 7}))));
}

TEST(Loss, HugeLogitsDoNotOverflow) {
  const Variable x(Tensor::from<double>({1e5, -1e5, 1e5}, {1, 3}));
  EXPECT_NEAR(softmax(x).value().data<double>()[0], 0.5, 1e-12);
  EXPECT_NEAR(scalar(cross_entropy(x, Tensor::from<int64_t>({1}, {1}))), 2e5 + std::log(2), 1e-6);
}

TEST(Loss, SumOfNoElementsIsZero) {
  EXPECT_EQ(scalar(sum(Variable(Tensor::zeros({0, 3}, DType::f64)))), 0);
}

}  // namespace stair::autograd
