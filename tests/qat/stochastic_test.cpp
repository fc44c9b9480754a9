#include <gtest/gtest.h>

#include "core/parallel.h"
#include "core/random.h"
#include "qat/quantizer.h"

namespace stair::qat {
namespace {

// Codes 0 to 15 of step 1.
std::shared_ptr<Quantizer> unit_step(Activation activation = Activation::none) {
  QuantizationSpec spec = activation_spec(4);
  spec.quantizer = "stochastic";
  spec.observer = "minmax";
  const auto quantizer = make_quantizer(spec, 1, activation);
  (void)(*quantizer)(Variable(Tensor::from<float>({0, 15}, {2})));
  quantizer->enable_observer(false);
  return quantizer;
}

double mean_code(const Tensor& q) {
  double sum = 0;
  for (int64_t i = 0; i < q.numel(); ++i) sum += q.data<uint8_t>()[i];
  return sum / static_cast<double>(q.numel());
}

TEST(Stochastic, TheMeanOfTheCodesIsTheValue) {
  const auto quantizer = unit_step();
  for (float value : {0.1F, 3.5F, 7.75F}) {
    const Tensor q = (*quantizer)(Variable(Tensor::full<float>({40000}, value))).value();
    // Four standard deviations of the mean of 40000 coins.
    EXPECT_NEAR(mean_code(q), value, 4 * 0.5 / 200) << value;
  }
}

TEST(Stochastic, WholeStepsAndTheEndsOfTheRangeAreCertain) {
  const auto quantizer = unit_step(Activation::relu);
  const Variable q = (*quantizer)(Variable(Tensor::from<float>({0, 3, 15, 16.5F, -2, 1e30F}, {6})));
  const std::vector<uint8_t> codes(q.value().data<uint8_t>(), q.value().data<uint8_t>() + 6);
  EXPECT_EQ(codes, (std::vector<uint8_t>{0, 3, 15, 15, 0, 15}));
}

TEST(Stochastic, EvaluationRoundsToNearest) {
  const auto quantizer = unit_step();
  quantizer->eval();
  EXPECT_EQ(mean_code((*quantizer)(Variable(Tensor::full<float>({1000}, 3.4F))).value()), 3);
}

TEST(Stochastic, TheStreamOfTrainingDecidesForAnyNumberOfThreads) {
  const int threads = num_threads();
  std::vector<std::vector<uint8_t>> runs;
  for (int count : {1, 2, 4}) {
    set_num_threads(count);
    autograd::default_random() = Random(17, 3);
    const Tensor q = (*unit_step())(Variable(Tensor::full<float>({100000}, 2.5F))).value();
    runs.emplace_back(q.data<uint8_t>(), q.data<uint8_t>() + q.numel());
  }
  set_num_threads(threads);
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_EQ(runs[0], runs[2]);
  const Tensor next = (*unit_step())(Variable(Tensor::full<float>({100000}, 2.5F))).value();
  EXPECT_NE(runs[0], std::vector<uint8_t>(next.data<uint8_t>(), next.data<uint8_t>() + 100000));
}

TEST(StochasticGrad, IsThatOfPlainRounding) {
  const auto quantizer = unit_step();
  Variable x(Tensor::from<float>({-1, 0.3F, 14.9F, 20}, {4}), true);
  (*quantizer)(x).backward(Tensor::from<float>({1, 2, 3, 4}, {4}));
  const std::vector<float> gx(x.grad().data<float>(), x.grad().data<float>() + 4);
  EXPECT_EQ(gx, (std::vector<float>{0, 2, 3, 0}));
}

}  // namespace
}  // namespace stair::qat
