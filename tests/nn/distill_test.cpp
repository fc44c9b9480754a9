#include "nn/distill.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"

namespace stair::nn {
namespace {

using autograd::Variable;

// The gradient of T^2 * KL is T * (softmax(logits / T) - softmax(teacher / T)) / N.
TEST(DistillGrad, IsTheDifferenceOfTheSoftenedOutputs) {
  const double t = 3;
  const std::vector<float> student{1, -2, 0.5F, 0, 2, -1}, teacher{0.5F, 0, 2, -3, 1, 1};
  Variable logits(Tensor::from<float>(student, {2, 3}), true);
  distillation_loss(logits, Tensor::from<float>(teacher, {2, 3}), t).backward();
  const auto softmax = [&](const std::vector<float>& v, size_t row, size_t i) {
    double sum = 0;
    for (size_t k = 0; k < 3; ++k) sum += std::exp(v[3 * row + k] / t);
    return std::exp(v[3 * row + i] / t) / sum;
  };
  for (size_t row = 0; row < 2; ++row)
    for (size_t i = 0; i < 3; ++i)
      EXPECT_NEAR(logits.grad().data<float>()[3 * row + i],
                  t * (softmax(student, row, i) - softmax(teacher, row, i)) / 2, 1e-5);
}

TEST(DistillGrad, IsZeroForTheTeacherItself) {
  const Tensor same = Tensor::from<float>({1, 2, 3, 4}, {1, 4});
  Variable logits(same.clone(), true);
  distillation_loss(logits, same, 1).backward();
  for (int64_t i = 0; i < 4; ++i) EXPECT_NEAR(logits.grad().data<float>()[i], 0, 1e-6);
}

TEST(DistillFault, ShapesAndTemperatureAreChecked) {
  const Variable logits(Tensor::zeros({2, 3}, DType::f32));
  EXPECT_THROW((void)distillation_loss(logits, Tensor::zeros({3, 2}, DType::f32), 1), ShapeError);
  EXPECT_THROW((void)distillation_loss(logits, Tensor::zeros({2, 3}, DType::f32), 0), ConfigError);
}

}  // namespace
}  // namespace stair::nn
