#include <gtest/gtest.h>

#include "autograd/ops/concat.h"
#include "autograd/ops/dropout.h"
#include "autograd/ops/flatten.h"
#include "autograd/ops/pad_channels.h"
#include "autograd/ops/reshape.h"
#include "core/parallel.h"
#include "tests/support/gradcheck.h"

namespace stair::autograd {
namespace {

using test::check_gradients;
using test::random_leaf;

std::vector<float> values(const Tensor& t) {
  return {t.data<float>(), t.data<float>() + t.numel()};
}

void check_concat(const std::vector<Shape>& shapes, int axis) {
  std::vector<Variable> inputs;
  for (const Shape& shape : shapes) inputs.push_back(random_leaf(shape, inputs.size()));
  check_gradients([axis](const auto& in) { return concat(in, axis); }, inputs);
}

// The elements that dropout keeps of `n` ones.
std::vector<float> dropped(int64_t n, double p, uint64_t seed) {
  default_random() = Random(seed);
  return values(dropout(Variable(Tensor::full<float>({n}, 1)), p, true).value());
}

}  // namespace

TEST(ShapeOpsGrad, ConcatAgreesWithDifferencesAlongEveryAxis) {
  check_concat({{2, 3, 2}, {1, 3, 2}}, 0);
  check_concat({{2, 1, 2}, {2, 3, 2}, {2, 2, 2}}, 1);
  check_concat({{2, 3, 1}, {2, 3, 4}}, -1);
  check_concat({{3}}, 0);
  check_concat({{2, 0}, {2, 3}}, 1);
}

TEST(ShapeOpsGrad, FlattenReshapeAndPaddingAgreeWithDifferences) {
  const Variable x = random_leaf({2, 3, 1, 4}, 1);
  check_gradients([](const auto& in) { return flatten(in[0]); }, {x});
  check_gradients([](const auto& in) { return reshape(in[0], {4, -1}); }, {x});
  check_gradients([](const auto& in) { return pad_channels(in[0], 2, 3); }, {x});
  check_gradients([](const auto& in) { return pad_channels(in[0], 0, 0); }, {x});
}

TEST(ShapeOpsGrad, DropoutAgreesWithDifferencesForAFixedMask) {
  const auto f = [](const auto& in) {
    default_random() = Random(3);
    return dropout(in[0], 0.4, true);
  };
  check_gradients(f, {random_leaf({5, 7}, 1)});
  check_gradients([](const auto& in) { return dropout(in[0], 0.4, false); }, {random_leaf({5}, 1)});
}

TEST(ShapeOps, ConcatJoinsInOrder) {
  const Variable a(Tensor::from<float>({1, 2, 3, 4}, {2, 2})),
      b(Tensor::from<float>({5, 6}, {2, 1}));
  EXPECT_EQ(values(concat({a, b}, 1).value()), (std::vector<float>{1, 2, 5, 3, 4, 6}));
}

TEST(ShapeOps, PadChannelsPutsZerosOnBothSides) {
  const Variable x(Tensor::from<float>({1, 2, 3, 4}, {2, 2}));
  EXPECT_EQ(values(pad_channels(x, 1, 2).value()),
            (std::vector<float>{0, 1, 2, 0, 0, 0, 3, 4, 0, 0}));
}

TEST(ShapeOps, ReshapeFindsTheOpenDimension) {
  const Variable x(Tensor::zeros({2, 3, 4}, DType::f32));
  EXPECT_EQ(reshape(x, {-1, 6}).shape(), (Shape{4, 6}));
  EXPECT_EQ(reshape(x, {24}).shape(), (Shape{24}));
  EXPECT_EQ(reshape(x, {24, -1}).shape(), (Shape{24, 1}));
}

TEST(Dropout, KeepsTheExpectedShareAndScalesIt) {
  const std::vector<float> y = dropped(100000, 0.25, 1);
  int64_t kept = 0;
  for (float v : y) {
    ASSERT_TRUE(v == 0 || v == static_cast<float>(1 / 0.75));
    kept += v != 0;
  }
  EXPECT_NEAR(static_cast<double>(kept), 75000, 700);  // 5 standard deviations
}

TEST(Dropout, MaskIsTheDocumentedPartOfTheStream) {
  default_random() = Random(9);
  default_random().bits();  // the mask starts at the next whole block
  const std::vector<float> y =
      values(dropout(Variable(Tensor::full<float>({13}, 1)), 0.5, true).value());
  EXPECT_EQ(default_random().state().position, 4U + 16);
  Random stream(Random::State{9, 0, 4});
  for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i] != 0, stream.uniform() >= 0.5F) << i;
}

TEST(Dropout, MaskDoesNotDependOnThreads) {
  const int before = num_threads();
  set_num_threads(1);
  const std::vector<float> one = dropped(20001, 0.5, 2);
  set_num_threads(4);
  EXPECT_EQ(dropped(20001, 0.5, 2), one);
  set_num_threads(before);
  EXPECT_NE(dropped(20001, 0.5, 3), one);
}

TEST(Dropout, ExtremesKeepAllOrNothing) {
  EXPECT_EQ(dropped(9, 0, 1), std::vector<float>(9, 1));
  EXPECT_EQ(dropped(9, 1, 1), std::vector<float>(9, 0));
}

}  // namespace stair::autograd
