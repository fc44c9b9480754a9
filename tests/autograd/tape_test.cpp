#include <gtest/gtest.h>

#include "autograd/ops/add.h"
#include "autograd/ops/mul.h"
#include "autograd/ops/relu.h"
#include "autograd/ops/sum.h"

namespace stair::autograd {
namespace {

Variable scalar(double value) {
  return Variable(Tensor::full<double>({}, value), true);
}
double gradient(const Variable& v) {
  return v.grad().item<double>();
}

}  // namespace

TEST(Tape, GradientsOfSeveralBackwardsAddUp) {
  const Variable x = scalar(3);
  mul(x, x).backward();
  EXPECT_EQ(gradient(x), 6);
  add(x, x).backward();
  EXPECT_EQ(gradient(x), 8);
  Variable(x).zero_grad();
  EXPECT_FALSE(x.grad().defined());
}

TEST(Tape, AVariableUsedOnManyPathsCollectsAllOfThem) {
  const Variable x = scalar(2);
  const Variable square = mul(x, x);
  add(mul(square, x), add(square, x)).backward();  // x^3 + x^2 + x
  EXPECT_EQ(gradient(x), 17);
}

TEST(Tape, GradientsThatAreSharedAreNotWrittenTo) {
  // add hands one tensor to both inputs; a's then grows by another path.
  const Variable a = scalar(1), b = scalar(1);
  const Tensor gy = Tensor::full<double>({}, 1);
  const Variable y = add(a, b);
  add(y, a).backward(gy);
  EXPECT_EQ(gradient(a), 2);
  EXPECT_EQ(gradient(b), 1);
  EXPECT_EQ(gy.item<double>(), 1);
}

TEST(Tape, NoGradLeavesNoRecord) {
  const Variable x = scalar(3);
  {
    const NoGrad no_grad;
    EXPECT_FALSE(grad_enabled());
    EXPECT_FALSE(mul(x, x).requires_grad());
    { const NoGrad inner; }
    EXPECT_FALSE(grad_enabled());
  }
  EXPECT_TRUE(grad_enabled());
  EXPECT_TRUE(mul(x, x).requires_grad());
}

TEST(Tape, DetachedValuesAreConstants) {
  const Variable x = scalar(3);
  mul(x, x.detach()).backward();
  EXPECT_EQ(gradient(x), 3);
}

TEST(Tape, InputsWithoutGradientGetNone) {
  const Variable x = scalar(3);
  const Variable c(Tensor::full<double>({}, 2));
  mul(x, c).backward();
  EXPECT_EQ(gradient(x), 2);
  EXPECT_FALSE(c.grad().defined());
}

TEST(Tape, ASecondBackwardThroughAUsedTapeIsRefused) {
  const Variable x = scalar(3);
  const Variable y = mul(x, x);
  y.backward();
  try {
    y.backward();
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "backward: the tape of 'mul' was used up by an earlier backward");
  }
}

TEST(Tape, BackwardOfAConstantIsRefused) {
  try {
    Variable(Tensor::full<double>({}, 2)).backward();
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "backward: the variable requires no gradient");
  }
}

TEST(Tape, BackwardOfSeveralElementsNeedsAGradientOfTheirShape) {
  const Variable x(Tensor::zeros({2}, DType::f64), true);
  try {
    relu(x).backward();
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "backward: [2] f64 has no gradient given and more than one element");
  }
  try {
    relu(x).backward(Tensor::zeros({3}, DType::f64));
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "backward: gradient [3] f64 for a variable of shape [2]");
  }
}

TEST(Tape, DeepChainsAreWalkedAndFreedWithoutRecursion) {
  const Variable x = scalar(1);
  {
    Variable y = x;
    for (int i = 0; i < 30000; ++i) y = add(y, x);
    y.backward();
  }
  EXPECT_EQ(gradient(x), 30001);
  Variable y = x;
  for (int i = 0; i < 300000; ++i) y = add(y, x);  // freed without a backward
}

TEST(Tape, BackwardFreesWhatItHasPassed) {
  const size_t before = memory_stats().live_bytes;
  const Variable x(Tensor::full<double>({1000}, 1), true);
  {
    const Variable y = sum(mul(mul(x, x), x));
    y.backward();
    EXPECT_LE(memory_stats().live_bytes, before + 2 * 8192 + 1024);  // x, its gradient, y
  }
}

TEST(Tape, ARecordKeepsOnlyTheValuesThatItsBackwardReads) {
  const size_t before = memory_stats().live_bytes;
  const Variable x(Tensor::full<double>({1000}, 1), true);
  Variable y = x;
  for (int i = 0; i < 10; ++i) y = add(y, x);
  EXPECT_LE(memory_stats().live_bytes, before + 2 * 8192 + 1024);  // x and the last y
  for (int i = 0; i < 10; ++i) y = mul(y, x);
  EXPECT_GE(memory_stats().live_bytes, before + 11 * 8000);  // a product reads its operands
}

}  // namespace stair::autograd
