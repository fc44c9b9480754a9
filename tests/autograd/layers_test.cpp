#include <gtest/gtest.h>

#include "autograd/ops/avg_pool2d.h"
#include "autograd/ops/batch_norm.h"
#include "autograd/ops/conv2d.h"
#include "autograd/ops/global_avg_pool.h"
#include "autograd/ops/linear.h"
#include "autograd/ops/max_pool2d.h"
#include "tests/support/gradcheck.h"

namespace stair::autograd {
namespace {

using test::check_gradients;
using test::random_leaf;

void check_conv(const Shape& x, const Shape& w, const Conv2dOptions& options) {
  SCOPED_TRACE(str("x ", x, " w ", w));
  const auto f = [&](const auto& in) { return conv2d(in[0], in[1], in[2], options); };
  check_gradients(f, {random_leaf(x, 1), random_leaf(w, 2), random_leaf({w[0]}, 3)});
  check_gradients(f, {random_leaf(x, 1), random_leaf(w, 2), Variable()});
}

Pool2dOptions pool(int64_t kernel_h, int64_t kernel_w, int64_t stride,
                   std::array<int64_t, 4> padding, bool count_include_pad = true) {
  return {{kernel_h, kernel_w}, {stride, stride}, padding, count_include_pad};
}

const std::vector<std::pair<Shape, Pool2dOptions>> kPools = {
    {{2, 6, 4, 3}, pool(2, 2, 2, {0, 0, 0, 0})},
    {{1, 5, 7, 2}, pool(3, 3, 2, {1, 1, 1, 1})},
    {{1, 5, 7, 2}, pool(3, 3, 1, {1, 1, 1, 1}, false)},
    {{1, 4, 5, 1}, pool(2, 3, 2, {0, 1, 1, 2}, false)},
    {{2, 3, 3, 5}, pool(3, 3, 3, {0, 0, 0, 0})},
    {{1, 7, 1, 1}, pool(1, 1, 3, {0, 0, 0, 0})},
};

}  // namespace

TEST(LayersGrad, Conv2dAgreesWithDifferences) {
  check_conv({2, 5, 4, 3}, {2, 3, 3, 3}, {.padding = {1, 1, 1, 1}});
  check_conv({1, 7, 6, 2}, {3, 3, 3, 2}, {.stride = {2, 2}, .padding = {0, 1, 1, 0}});
  check_conv({1, 6, 6, 4}, {4, 3, 3, 1}, {.padding = {1, 1, 1, 1}, .groups = 4});
  check_conv({1, 6, 5, 4}, {6, 2, 3, 2}, {.stride = {2, 1}, .groups = 2});
  check_conv({1, 7, 7, 2}, {2, 3, 3, 2}, {.padding = {2, 2, 2, 2}, .dilation = {2, 2}});
  check_conv({3, 4, 4, 5}, {2, 1, 1, 5}, {.stride = {2, 2}});
}

TEST(LayersGrad, LinearAgreesWithDifferences) {
  const auto f = [](const auto& in) { return linear(in[0], in[1], in[2]); };
  check_gradients(f, {random_leaf({4, 7}, 1), random_leaf({3, 7}, 2), random_leaf({3}, 3)});
  check_gradients(f, {random_leaf({1, 1}, 1), random_leaf({1, 1}, 2), Variable()});
  check_gradients(f, {random_leaf({2, 3, 5}, 1), random_leaf({4, 5}, 2), random_leaf({4}, 3)});
}

TEST(LayersGrad, BatchNormInTrainingAgreesWithDifferences) {
  const auto f = [](const auto& in) {
    return batch_norm(in[0], in[1], in[2], Variable(), Variable(), {});
  };
  check_gradients(f,
                  {random_leaf({3, 2, 2, 5}, 1), random_leaf({5}, 2, -1, 1), random_leaf({5}, 3)});
  check_gradients(f, {random_leaf({2, 3}, 1), random_leaf({3}, 2), random_leaf({3}, 3)});
  check_gradients(f, {random_leaf({7, 1}, 1), Variable(), Variable()});
}

TEST(LayersGrad, BatchNormWithFrozenStatisticsAgreesWithDifferences) {
  const Variable mean(test::random_real({4}, 8)), var(test::random_real({4}, 9, 0.1, 2));
  const auto f = [&](const auto& in) {
    return batch_norm(in[0], in[1], in[2], mean, var, {.training = false, .eps = 1e-3});
  };
  check_gradients(f, {random_leaf({3, 2, 4}, 1), random_leaf({4}, 2), random_leaf({4}, 3)});
  check_gradients(f, {random_leaf({1, 4}, 1), Variable(), Variable()});
}

TEST(LayersGrad, MaxPoolAgreesWithDifferences) {
  for (const auto& [shape, options] : kPools)
    check_gradients([&](const auto& in) { return max_pool2d(in[0], options); },
                    {random_leaf(shape, 3)});
}

TEST(LayersGrad, AvgPoolAgreesWithDifferences) {
  for (const auto& [shape, options] : kPools)
    check_gradients([&](const auto& in) { return avg_pool2d(in[0], options); },
                    {random_leaf(shape, 3)});
}

TEST(LayersGrad, GlobalAvgPoolAgreesWithDifferences) {
  check_gradients([](const auto& in) { return global_avg_pool(in[0]); },
                  {random_leaf({2, 3, 5, 4}, 3)});
  check_gradients([](const auto& in) { return global_avg_pool(in[0]); },
                  {random_leaf({1, 1, 1, 1}, 3)});
}

TEST(BatchNorm, TrainingUpdatesTheRunningStatisticsInPlace) {
  const Variable x(Tensor::from<double>({1, 3, 5, 7}, {4, 1}));
  const Variable mean(Tensor::zeros({1}, DType::f64)), var(Tensor::full<double>({1}, 1));
  batch_norm(x, Variable(), Variable(), mean, var, {.momentum = 0.25});
  EXPECT_DOUBLE_EQ(*mean.value().data<double>(), 0.25 * 4);
  EXPECT_DOUBLE_EQ(*var.value().data<double>(), 0.75 + 0.25 * 20.0 / 3);
  batch_norm(x, Variable(), Variable(), mean, var, {.training = false});
  EXPECT_DOUBLE_EQ(*mean.value().data<double>(), 1);
}

TEST(BatchNorm, BackwardUsesTheStatisticsOfItsForward) {
  const Variable mean(Tensor::zeros({1}, DType::f64)), var(Tensor::full<double>({1}, 1));
  const Variable gamma(Tensor::full<double>({1}, 2), true);
  const Variable x(Tensor::full<double>({1, 1}, 3));
  const Variable y =
      batch_norm(x, gamma, Variable(), mean, var, {.training = false, .eps = 1e-300});
  *mean.value().data<double>() = 100;
  *var.value().data<double>() = 100;
  y.backward();
  EXPECT_DOUBLE_EQ(*gamma.grad().data<double>(), 3);
}

TEST(MaxPool, GradientGoesToTheFirstOfEqualMaxima) {
  const Variable x(Tensor::full<double>({1, 2, 2, 1}, 5), true);
  max_pool2d(x, {}).backward();
  const double* g = x.grad().data<double>();
  EXPECT_EQ((std::vector<double>{g, g + 4}), (std::vector<double>{1, 0, 0, 0}));
}

TEST(Linear, FloatAgreesWithThePlainSum) {
  const Variable x(Tensor::from<float>({1, 2, 3, 4}, {2, 2}));
  const Variable w(Tensor::from<float>({1, 0, 0.5F, -1, 2, 2}, {3, 2}));
  const Variable b(Tensor::from<float>({0.5F, 0, -1}, {3}));
  const float* y = linear(x, w, b).value().data<float>();
  EXPECT_EQ((std::vector<float>{y, y + 6}), (std::vector<float>{1.5F, -1.5F, 5, 3.5F, -2.5F, 13}));
}

}  // namespace stair::autograd
