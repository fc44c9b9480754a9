#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/add.h"
#include "autograd/ops/clamp.h"
#include "autograd/ops/div.h"
#include "autograd/ops/gelu.h"
#include "autograd/ops/hardsigmoid.h"
#include "autograd/ops/hardswish.h"
#include "autograd/ops/leaky_relu.h"
#include "autograd/ops/mul.h"
#include "autograd/ops/relu.h"
#include "autograd/ops/relu6.h"
#include "autograd/ops/sigmoid.h"
#include "autograd/ops/silu.h"
#include "autograd/ops/sub.h"
#include "autograd/ops/tanh.h"
#include "tests/support/gradcheck.h"

namespace stair::autograd {
namespace {

using test::check_gradients;
using test::random_leaf;
using Unary = Variable (*)(const Variable&);
using Binary = Variable (*)(const Variable&, const Variable&);

void check_unary(Unary f) {
  // No element of this stream is within a step of a kink.
  check_gradients([f](const auto& in) { return f(in[0]); }, {random_leaf({3, 1, 7}, 5, -8, 8)});
  check_gradients([f](const auto& in) { return f(in[0]); }, {random_leaf({}, 6, 1, 2)});
  check_gradients([f](const auto& in) { return f(in[0]); }, {random_leaf({0, 4}, 6)});
}

void check_binary(Binary f, double low) {
  const auto both = [f](const auto& in) { return f(in[0], in[1]); };
  const std::vector<std::pair<Shape, Shape>> shapes = {
      {{2, 3, 5}, {2, 3, 5}},
      {{2, 3, 5}, {5}},
      {{4, 2, 3}, {4, 1, 1}},
      {{2, 3, 5}, {}},
      {{1}, {3, 2}},
      {{2, 1, 3, 1}, {1, 4, 1, 5}},
      {{3, 1, 2}, {5, 1}},
      {{2, 3, 1, 2}, {3, 4, 1}},
      {{2, 1, 2, 2}, {1, 3, 1, 2}},
      {{0, 3}, {1, 3}},
      {{1, 1}, {1}},
  };
  for (const auto& [a, b] : shapes) {
    SCOPED_TRACE(str(a, " and ", b));
    check_gradients(both, {random_leaf(a, 1), random_leaf(b, 2, low, low + 1)});
    check_gradients(both, {random_leaf(b, 3), random_leaf(a, 4, low, low + 1)});
  }
}

std::vector<double> values(const Variable& v) {
  const double* p = v.value().data<double>();
  return {p, p + v.value().numel()};
}

Variable leaf(const std::vector<double>& v) {
  return Variable(Tensor::from<double>(v, {static_cast<int64_t>(v.size())}), true);
}

// The gradient of sum(f(x)).
std::vector<double> slopes(const std::function<Variable(const Variable&)>& f,
                           const std::vector<double>& x) {
  const Variable v = leaf(x);
  f(v).backward(Tensor::full<double>(v.shape(), 1));
  return values(Variable(v.grad()));
}

}  // namespace

TEST(UnaryGrad, ReluAgreesWithDifferences) {
  check_unary(relu);
}
TEST(UnaryGrad, Relu6AgreesWithDifferences) {
  check_unary(relu6);
}
TEST(UnaryGrad, SigmoidAgreesWithDifferences) {
  check_unary(sigmoid);
}
TEST(UnaryGrad, TanhAgreesWithDifferences) {
  check_unary(stair::autograd::tanh);
}
TEST(UnaryGrad, HardsigmoidAgreesWithDifferences) {
  check_unary(hardsigmoid);
}
TEST(UnaryGrad, HardswishAgreesWithDifferences) {
  check_unary(hardswish);
}
TEST(UnaryGrad, SiluAgreesWithDifferences) {
  check_unary(silu);
}
TEST(UnaryGrad, GeluAgreesWithDifferences) {
  check_unary(gelu);
}
TEST(UnaryGrad, LeakyReluAgreesWithDifferences) {
  check_unary([](const Variable& x) { return leaky_relu(x, 0.1); });
}
TEST(UnaryGrad, ClampAgreesWithDifferences) {
  check_unary([](const Variable& x) { return clamp(x, -2.5, 4); });
}

TEST(BinaryGrad, AddAgreesWithDifferencesForEveryBroadcast) {
  check_binary(add, 0.5);
}
TEST(BinaryGrad, SubAgreesWithDifferencesForEveryBroadcast) {
  check_binary(sub, 0.5);
}
TEST(BinaryGrad, MulAgreesWithDifferencesForEveryBroadcast) {
  check_binary(mul, 0.5);
}
TEST(BinaryGrad, DivAgreesWithDifferencesForEveryBroadcast) {
  check_binary(div, 1);
}

TEST(BinaryGrad, OneVariableTwiceCollectsBothGradients) {
  check_gradients([](const auto& in) { return mul(in[0], in[0]); }, {random_leaf({5}, 1)});
  check_gradients([](const auto& in) { return div(in[0], in[0]); }, {random_leaf({5}, 1, 1, 2)});
}

TEST(Unary, GradientsAtTheKinksAreThoseOfPyTorch) {
  using V = std::vector<double>;
  EXPECT_EQ(slopes(relu, {-1, 0, 1}), (V{0, 0, 1}));
  EXPECT_EQ(slopes(relu6, {-1, 0, 3, 6, 7}), (V{0, 0, 1, 0, 0}));
  EXPECT_EQ(slopes([](const Variable& x) { return clamp(x, -1, 2); }, {-2, -1, 0, 2, 3}),
            (V{0, 0, 1, 0, 0}));
  EXPECT_EQ(slopes(hardsigmoid, {-3, 3}), (V{0, 0}));
  EXPECT_EQ(slopes(hardswish, {-3, 3}), (V{0, 1}));
}

TEST(Unary, NanStaysNan) {
  EXPECT_TRUE(std::isnan(values(relu(leaf({std::nan("")})))[0]));
  EXPECT_TRUE(std::isnan(values(clamp(leaf({std::nan("")}), 0, 1))[0]));
}

TEST(Unary, ClampWithInfiniteEndsLimitsOneSide) {
  const auto at_least_0 = [](const Variable& x) { return clamp(x, 0, INFINITY); };
  EXPECT_EQ(values(at_least_0(leaf({-4, 1e300}))), (std::vector<double>{0, 1e300}));
  EXPECT_EQ(slopes(at_least_0, {-4, 1e300}), (std::vector<double>{0, 1}));
}

TEST(Binary, ValuesFollowTheBroadcastRule) {
  const Variable column(Tensor::from<double>({1, 2}, {2, 1}));
  const Variable row(Tensor::from<double>({10, 20, 30}, {3}));
  const Variable y = sub(column, row);
  EXPECT_EQ(y.shape(), (Shape{2, 3}));
  EXPECT_EQ(values(y), (std::vector<double>{-9, -19, -29, -8, -18, -28}));
  EXPECT_EQ(values(div(row, column)), (std::vector<double>{10, 20, 30, 5, 10, 15}));
}

TEST(Binary, LargeTensorsAreSplitWithoutSeams) {
  const int64_t n = 40001;
  const Variable a(Tensor::full<float>({n}, 3.0F)), b(Tensor::full<float>({}, 2.0F));
  const Variable y = mul(a, b);
  for (int64_t i = 0; i < n; ++i) ASSERT_EQ(y.value().data<float>()[i], 6.0F) << i;
  const Variable c(Tensor::full<float>({n, 3}, 1.0F)), d(Tensor::from<float>({1, 2, 3}, {3}));
  const Variable z = add(c, d);
  for (int64_t i = 0; i < n * 3; ++i)
    ASSERT_EQ(z.value().data<float>()[i], static_cast<float>(2 + i % 3)) << i;
}

}  // namespace stair::autograd
