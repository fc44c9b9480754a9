#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "core/random.h"
#include "qat/quantizer.h"

namespace stair::qat {
namespace {

// Codes 0 to 3 of step 1.
std::shared_ptr<Quantizer> unit_step(Activation activation = Activation::none) {
  QuantizationSpec spec = activation_spec(2);
  spec.quantizer = "quantnoise";
  spec.observer = "minmax";
  const auto quantizer = make_quantizer(spec, 1, activation);
  (void)(*quantizer)(Variable(Tensor::from<float>({0, 3}, {2})));
  quantizer->enable_observer(false);
  return quantizer;
}

TEST(QuantNoise, HalfOfTheElementsAreQuantizedInTraining) {
  const auto quantizer = unit_step();
  const Tensor y = (*quantizer)(Variable(Tensor::full<float>({10000}, 1.25F))).value();
  ASSERT_FALSE(y.quantized());
  const float* data = y.data<float>();
  const int64_t rounded = std::count(data, data + y.numel(), 1.0F);
  EXPECT_EQ(std::count(data, data + y.numel(), 1.25F), 10000 - rounded);
  EXPECT_NEAR(static_cast<double>(rounded), 5000, 4 * 50);  // four standard deviations
}

TEST(QuantNoise, EvaluationQuantizesAll) {
  const auto quantizer = unit_step();
  quantizer->eval();
  const Variable q = (*quantizer)(Variable(Tensor::full<float>({100}, 1.25F)));
  ASSERT_TRUE(q.quantized());
  EXPECT_EQ(std::count(q.value().data<uint8_t>(), q.value().data<uint8_t>() + 100, 1), 100);
}

// Outside the range only the elements that were left alone have a gradient.
TEST(QuantNoiseGrad, FollowsTheWayOfEachElement) {
  const auto quantizer = unit_step(Activation::relu);
  Variable x(Tensor::full<float>({1000}, 7.5F), true);
  const Variable y = (*quantizer)(x);
  y.backward(Tensor::full<float>({1000}, 2));
  for (int64_t i = 0; i < 1000; ++i) {
    const bool left_alone = y.value().data<float>()[i] == 7.5F;
    ASSERT_EQ(x.grad().data<float>()[i], left_alone ? 2 : 0) << i;
  }
  Variable negative(Tensor::full<float>({100}, -1), true);
  const Variable zero = (*quantizer)(negative);
  zero.backward(Tensor::full<float>({100}, 1));
  for (int64_t i = 0; i < 100; ++i) {
    ASSERT_EQ(zero.value().data<float>()[i], 0);
    ASSERT_EQ(negative.grad().data<float>()[i], 0);
  }
}

TEST(QuantNoise, BitsDoNotDependOnThreads) {
  const int threads = num_threads();
  std::vector<std::vector<float>> runs;
  for (int count : {1, 4}) {
    set_num_threads(count);
    autograd::default_random() = Random(17, 3);
    const Tensor y = (*unit_step())(Variable(Tensor::full<float>({100000}, 1.25F))).value();
    runs.emplace_back(y.data<float>(), y.data<float>() + y.numel());
  }
  set_num_threads(threads);
  EXPECT_EQ(runs[0], runs[1]);
}

}  // namespace
}  // namespace stair::qat
