#include <gtest/gtest.h>

#include "qat/quantizer.h"

namespace stair::qat {
namespace {

TEST(Ste, GradientPassesWhereTheRoundedCodeIsInside) {
  QuantizationSpec spec = activation_spec(2);
  spec.observer = "minmax";
  const auto quantizer = make_quantizer(spec, 1);
  (void)(*quantizer)(
      Variable(Tensor::from<float>({0, 3}, {2})));  // scale 1, zero point 0, codes 0..3
  quantizer->enable_observer(false);
  Variable x(Tensor::from<float>({-0.6F, -0.5F, 0.4F, 3.4F, 3.5F, 3.6F}, {6}), true);
  const Variable q = (*quantizer)(x);
  const std::vector<uint8_t> codes(q.value().data<uint8_t>(), q.value().data<uint8_t>() + 6);
  EXPECT_EQ(codes, (std::vector<uint8_t>{0, 0, 0, 3, 3, 3}));
  q.backward(Tensor::from<float>({1, 2, 3, 4, 5, 6}, {6}));
  const std::vector<float> gradient(x.grad().data<float>(), x.grad().data<float>() + 6);
  EXPECT_EQ(gradient, (std::vector<float>{0, 2, 3, 4, 0, 0}));
}

TEST(Ste, FusedReluObservesAndQuantizesThePositivePart) {
  const auto quantizer = make_quantizer(activation_spec(), 1, Activation::relu);
  Variable x(Tensor::from<float>({-8, 2, 5.1F, -1}, {4}), true);
  const Variable q = (*quantizer)(x);
  EXPECT_EQ(q.value().qparams().zero_point[0], 0);
  EXPECT_FLOAT_EQ(q.value().qparams().scale[0], 5.1F / 255);
  q.backward(Tensor::full<float>({4}, 1));
  EXPECT_EQ(x.grad().data<float>()[0], 0);
  EXPECT_EQ(x.grad().data<float>()[1], 1);
  EXPECT_EQ(quantizer->code_range(), (std::pair<int32_t, int32_t>{0, 255}));
}

TEST(Ste, Relu6LowersTheHighestCode) {
  const auto quantizer = make_quantizer(activation_spec(), 1, Activation::relu6);
  (void)(*quantizer)(Variable(Tensor::from<float>({-8, 9}, {2})));
  EXPECT_EQ(quantizer->code_range().second, 255);  // the observed range ends at 6
  EXPECT_FLOAT_EQ(quantizer->qparams().scale[0], 6.0F / 255);
}

TEST(Ste, ActivationsInEvaluationKeepTheRangeThatIsDeployed) {
  QuantizationSpec spec = activation_spec();
  spec.averaging_constant = 1;  // the last batch alone
  const auto quantizer = make_quantizer(spec, 1);
  (void)(*quantizer)(Variable(Tensor::from<float>({0, 4}, {2})));
  quantizer->eval();
  const Variable q = (*quantizer)(Variable(Tensor::from<float>({0, 400}, {2})));
  EXPECT_EQ(q.value().qparams(), quantizer->qparams());
}

TEST(Ste, WeightsFollowTheCurrentTensorWithoutStateInEvaluation) {
  const auto quantizer = make_quantizer(weight_spec(), 2);
  quantizer->eval();
  const Variable q = (*quantizer)(Variable(Tensor::from<float>({1, -2, 4, 3}, {2, 2})));
  EXPECT_FLOAT_EQ(q.value().qparams().scale[0], 2 / 127.5F);
  EXPECT_FLOAT_EQ(q.value().qparams().scale[1], 4 / 127.5F);
  EXPECT_FALSE(quantizer->calibrated());
}

TEST(Ste, AllZeroTensorGetsAUsableScale) {
  const auto quantizer = make_quantizer(activation_spec(), 1);
  const Variable q = (*quantizer)(Variable(Tensor::zeros({8}, DType::f32)));
  EXPECT_EQ(q.value().qparams().scale[0], kMinScale);
  EXPECT_EQ(q.value().data<uint8_t>()[0], q.value().qparams().zero_point[0]);
}

}  // namespace
}  // namespace stair::qat
