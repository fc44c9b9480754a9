// Gradients of integer layers in each precision.
#include "autograd/grad_precision.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/conv2d.h"
#include "autograd/ops/dequantize.h"
#include "autograd/ops/linear.h"
#include "core/cpu.h"
#include "core/error.h"
#include "tests/support/gradcheck.h"
#include "tests/support/random_codes.h"

namespace stair::autograd {
namespace {

using test::random_codes;

struct PrecisionScope {
  explicit PrecisionScope(GradPrecision precision) { set_grad_precision(precision); }
  ~PrecisionScope() { set_grad_precision(GradPrecision::f32); }
};

// The gradients of both inputs, one after the other.
std::vector<float> gradients(const test::Function& f, const std::vector<Tensor>& inputs,
                             GradPrecision precision) {
  const PrecisionScope scope(precision);
  std::vector<Variable> in;
  for (const Tensor& t : inputs) in.emplace_back(t, true);
  const Variable y = f(in);
  Tensor gy = Tensor::empty(y.shape(), DType::f32);
  Random random(9);
  for (int64_t i = 0; i < gy.numel(); ++i) gy.data<float>()[i] = random.uniform(-1.0F, 1.0F);
  y.backward(gy);
  std::vector<float> out;
  for (const Variable& v : in)
    out.insert(out.end(), v.grad().data<float>(), v.grad().data<float>() + v.grad().numel());
  return out;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += std::pow(double{a[i]} - b[i], 2);
    norm += double{b[i]} * b[i];
  }
  return std::sqrt(error / norm);
}

void expect_precisions(const test::Function& f, const std::vector<Tensor>& inputs) {
  const std::vector<float> want = gradients(f, inputs, GradPrecision::f32);
  const double two = distance(gradients(f, inputs, GradPrecision::bf16x2), want),
               one = distance(gradients(f, inputs, GradPrecision::bf16), want);
  EXPECT_GT(two, 1e-8);
  EXPECT_LT(two, 1e-5);
  EXPECT_GT(one, 5e-4);
  EXPECT_LT(one, 4e-3);
}

Tensor signed_codes() {
  return random_codes({2, 6, 5, 8}, DType::s8, test::per_tensor(0.03F, -9, -128, 127), 1);
}
Tensor weights(const Shape& shape) {
  return random_codes(shape, DType::s8, test::symmetric_channels(shape[0], 0), 2);
}

}  // namespace

TEST(GradPrecision, OfConvolutionsRoundsTheGradientToItsTerms) {
  const auto conv = [](const auto& in) {
    return conv2d(in[0], in[1], Variable(), {.stride = {2, 1}, .padding = {1, 0, 1, 2}});
  };
  expect_precisions(conv, {signed_codes(), weights({7, 3, 3, 8})});
  const Tensor one_scale =
      random_codes({7, 3, 3, 8}, DType::s8, test::per_tensor(0.04F, 0, -127, 127), 2);
  expect_precisions(conv, {signed_codes(), one_scale});
}

TEST(GradPrecision, OfLinearLayersRoundsTheGradientToItsTerms) {
  const Tensor x = random_codes({5, 37}, DType::u8, test::per_tensor(0.05F, 100, 0, 255), 1);
  expect_precisions([](const auto& in) { return linear(in[0], in[1], Variable()); },
                    {x, weights({9, 37})});
}

TEST(GradPrecision, LeavesDepthwiseAndFloatLayersAlone) {
  const auto depthwise = [](const auto& in) {
    return conv2d(in[0], in[1], Variable(), {.groups = 8});
  };
  const std::vector<Tensor> codes = {signed_codes(), weights({8, 3, 3, 1})};
  EXPECT_EQ(gradients(depthwise, codes, GradPrecision::bf16),
            gradients(depthwise, codes, GradPrecision::f32));
  const auto plain = [](const auto& in) { return conv2d(in[0], in[1], Variable(), {}); };
  const std::vector<Tensor> half = {dequantize(Variable(signed_codes())).value(),
                                    weights({7, 3, 3, 8})};
  EXPECT_EQ(gradients(plain, half, GradPrecision::bf16),
            gradients(plain, half, GradPrecision::f32));
}

TEST(GradPrecision, StaysF32WhereTheZeroPointIsNoCode) {
  const Tensor x = random_codes({3, 5}, DType::u8, test::per_tensor(0.05F, -300, 0, 255), 1);
  const auto f = [](const auto& in) { return linear(in[0], in[1], Variable()); };
  EXPECT_EQ(gradients(f, {x, weights({4, 5})}, GradPrecision::bf16),
            gradients(f, {x, weights({4, 5})}, GradPrecision::f32));
}

TEST(GradPrecision, IsF32WhereAmxIsNotActive) {
  const IsaScope scope(Isa::ref);
  EXPECT_EQ(default_grad_precision(), GradPrecision::f32);
}

TEST(GradPrecision, HasNames) {
  for (const std::string& text : grad_precision_names())
    EXPECT_EQ(name(grad_precision_named(text)), text);
  EXPECT_THROW((void)grad_precision_named("fp16"), ConfigError);
}

}  // namespace stair::autograd
