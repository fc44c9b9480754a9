#include "autograd/ops/group_linear.h"

#include <gtest/gtest.h>

#include "autograd/ops/dequantize.h"
#include "autograd/ops/linear.h"
#include "core/cpu.h"
#include "tests/support/gradcheck.h"
#include "tests/support/random_codes.h"

namespace stair::autograd {
namespace {

using test::per_tensor;
using test::random_codes;

Tensor reals(const Shape& shape, uint64_t seed) {
  const Tensor from = test::random_real(shape, seed);
  Tensor y = Tensor::empty(shape, DType::f32);
  for (int64_t i = 0; i < y.numel(); ++i)
    y.data<float>()[i] = static_cast<float>(from.data<double>()[i]);
  return y;
}

int32_t code(const Tensor& t, int64_t i) {
  return t.dtype() == DType::u8 ? int32_t{t.data<uint8_t>()[i]} : int32_t{t.data<int8_t>()[i]};
}

// The definition, walked.
Tensor plain(const Tensor& x, const Tensor& w, const Tensor& b) {
  const int64_t inputs = x.size(1), group = w.size(1), groups = inputs / group;
  Tensor y = Tensor::empty({x.size(0), w.size(0) / groups}, DType::f32);
  for (int64_t at = 0; at < y.numel(); ++at) {
    const int64_t n = at / y.size(1), o = at % y.size(1);
    volatile float sum = b.defined() ? b.data<float>()[o] : 0;
    for (int64_t j = 0; j < groups; ++j) {
      const int64_t row = o * groups + j;
      int32_t acc = 0;
      for (int64_t i = 0; i < group; ++i)
        acc += (code(x, n * inputs + j * group + i) - x.qparams().zero_point[0]) *
               code(w, row * group + i);
      volatile const float scale =
          x.qparams().scale[0] * w.qparams().scale[static_cast<size_t>(row)];
      volatile const float product = static_cast<float>(acc) * scale;
      sum = sum + product;
    }
    y.data<float>()[at] = sum;
  }
  return y;
}

void expect_equal(const Tensor& got, const Tensor& want) {
  ASSERT_EQ(got.shape(), want.shape());
  for (int64_t i = 0; i < got.numel(); ++i)
    ASSERT_EQ(got.data<float>()[i], want.data<float>()[i]) << "element " << i;
}

struct Case {
  int64_t rows, outputs, groups, group;
};
constexpr Case kCases[] = {{5, 9, 3, 7}, {1, 1, 1, 2}, {33, 17, 4, 16}, {2, 70, 5, 32}};

TEST(GroupLinearExact, IsTheSumOfItsGroupsOnEveryInstructionSet) {
  for (const Isa isa : available_isas())
    for (const Case& c : kCases)
      for (const DType type : {DType::u8, DType::s8}) {
        const IsaScope scope(isa);
        SCOPED_TRACE(str(isa, " ", type, " ", c.rows, "x", c.outputs));
        const QParams p =
            type == DType::u8 ? per_tensor(0.021F, 77, 0, 255) : per_tensor(0.03F, -9, -128, 127);
        const Tensor x = random_codes({c.rows, c.groups * c.group}, type, p, 1);
        const int64_t scales = c.outputs * c.groups;
        const Tensor w =
            random_codes({scales, c.group}, DType::s8, test::symmetric_channels(scales, 0), 2);
        for (const Tensor& b : {reals({c.outputs}, 3), Tensor()})
          expect_equal(
              group_linear(Variable(x), Variable(w), b.defined() ? Variable(b) : Variable())
                  .value(),
              plain(x, w, b));
      }
}

TEST(GroupLinear, OnRealNumbersItIsALinearLayer) {
  const Tensor x = reals({3, 12}, 1), w = reals({10, 6}, 2), b = reals({5}, 3);
  expect_equal(group_linear(Variable(x), Variable(w), Variable(b)).value(),
               linear(Variable(x), Variable(w.reshape({5, 12})), Variable(b)).value());
}

TEST(GroupLinear, GradientsAreThoseOfTheRealNumbers) {
  const Tensor x = random_codes({4, 12}, DType::u8, per_tensor(0.05F, 100, 0, 255), 1),
               w = random_codes({10, 6}, DType::s8, test::symmetric_channels(10, 0), 2),
               gy = reals({4, 5}, 4);
  const Variable xq(x, true), wq(w, true), b(reals({5}, 3), true);
  group_linear(xq, wq, b).backward(gy);
  const Variable xr(dequantize(Variable(x)).value(), true),
      wr(dequantize(Variable(w)).value().reshape({5, 12}), true), br(reals({5}, 3), true);
  linear(xr, wr, br).backward(gy);
  expect_equal(xq.grad(), xr.grad());
  expect_equal(wq.grad(), wr.grad().reshape({10, 6}));
  expect_equal(b.grad(), br.grad());
}

TEST(GroupLinearFault, ShapesAndScalesThatDoNotFit) {
  const Variable x(reals({3, 12}, 1));
  EXPECT_THROW((void)group_linear(x, Variable(reals({10, 5}, 2)), Variable()), ShapeError);
  EXPECT_THROW((void)group_linear(x, Variable(reals({9, 6}, 2)), Variable()), ShapeError);
  EXPECT_THROW((void)group_linear(x, Variable(reals({10, 6}, 2)), Variable(reals({4}, 3))),
               ShapeError);
  const Variable codes(random_codes({3, 12}, DType::u8, per_tensor(0.05F, 0, 0, 255), 1)),
      weights(random_codes({10, 6}, DType::s8, per_tensor(0.05F, 0, -128, 127), 1));
  EXPECT_THROW((void)group_linear(codes, weights, Variable()), DTypeError);
}

}  // namespace
}  // namespace stair::autograd
