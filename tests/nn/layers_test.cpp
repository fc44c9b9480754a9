#include <gtest/gtest.h>

#include "autograd/ops/avg_pool2d.h"
#include "autograd/ops/batch_norm.h"
#include "autograd/ops/conv2d.h"
#include "autograd/ops/linear.h"
#include "autograd/ops/max_pool2d.h"
#include "autograd/ops/relu6.h"
#include "nn/layers/activation.h"
#include "nn/layers/batch_norm2d.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/dropout.h"
#include "nn/layers/linear.h"
#include "nn/layers/pool.h"
#include "nn/layers/sequential.h"
#include "tests/nn/values.h"

namespace stair::nn {
namespace {

TEST(Conv2dLayer, IsTheOperationOnItsParameters) {
  ConvConfig config;
  config.kernel = {3, 2};
  config.options.stride = {2, 1};
  config.options.padding = {0, 1, 2, 0};
  config.options.dilation = {1, 2};
  config.options.groups = 2;
  Random random(5);
  Conv2d conv(4, 6, config, random);
  EXPECT_EQ(conv.weight().shape(), (Shape{6, 3, 2, 2}));
  const Variable x = random_variable({2, 7, 8, 4}, 1);
  EXPECT_TRUE(same(conv(x).value(),
                   autograd::conv2d(x, conv.weight(), conv.bias(), config.options).value()));
}

TEST(Conv2dLayer, RefusesGroupsThatDoNotDivideTheChannels) {
  ConvConfig config;
  config.options.groups = 3;
  EXPECT_EQ(message_of<ConfigError>([&] { Conv2d(4, 6, config); }),
            "Conv2d: groups 3 do not divide 4 input and 6 output channels");
}

TEST(Conv2dLayer, HasNoBiasUnlessAsked) {
  ConvConfig config = square_window(1);
  config.bias = false;
  Conv2d conv(2, 2, config);
  EXPECT_FALSE(conv.bias().defined());
  EXPECT_EQ(conv.named_parameters().size(), 1u);
}

TEST(LinearLayer, IsTheOperationOnItsParameters) {
  Linear linear(5, 3);
  const Variable x = random_variable({4, 5}, 2);
  EXPECT_TRUE(same(linear(x).value(), autograd::linear(x, linear.weight(), linear.bias()).value()));
  EXPECT_THROW(Linear(0, 3), ConfigError);
}

TEST(BatchNorm2dLayer, CountsTheBatchesItTrainsOn) {
  BatchNorm2d bn(3);
  const Variable x = random_variable({2, 4, 4, 3}, 3);
  const auto state = bn.named_state();
  ASSERT_EQ(state.size(), 5u);
  EXPECT_EQ(state[4].name, "num_batches_tracked");
  bn(x);
  EXPECT_EQ(state[4].variable.value().item<int64_t>(), 1);
  const Tensor mean = state[2].variable.value().clone();
  bn.eval();
  bn(x);
  EXPECT_EQ(state[4].variable.value().item<int64_t>(), 1);
  EXPECT_TRUE(same(mean, state[2].variable.value()));
}

TEST(BatchNorm2dLayer, IsTheOperationInBothModes) {
  BatchNorm2d bn(3, 0.2, 1e-3);
  const Variable x = random_variable({2, 4, 4, 3}, 3);
  for (const bool training : {true, false}) {
    bn.train(training);
    const auto s = bn.named_state();
    const Variable mean(s[2].variable.value().clone()), var(s[3].variable.value().clone());
    const Variable y = autograd::batch_norm(x, s[0].variable, s[1].variable, mean, var,
                                            {.training = training, .momentum = 0.2, .eps = 1e-3});
    EXPECT_TRUE(same(bn(x).value(), y.value()));
    EXPECT_TRUE(same(s[2].variable.value(), mean.value()));
    EXPECT_TRUE(same(s[3].variable.value(), var.value()));
  }
}

TEST(BatchNorm2dLayer, FrozenKeepsItsStatisticsInTraining) {
  BatchNorm2d bn(3);
  const Variable x = random_variable({2, 4, 4, 3}, 3);
  bn.eval();
  const Tensor expected = bn(x).value();
  bn.train();
  bn.freeze();
  EXPECT_TRUE(same(bn(x).value(), expected));
  EXPECT_EQ(bn.named_state()[4].variable.value().item<int64_t>(), 0);
}

TEST(PoolLayers, AreTheOperations) {
  const Variable x = random_variable({2, 6, 6, 3}, 4);
  autograd::Pool2dOptions options = square_pool(3, 2, 1);
  options.count_include_pad = false;
  MaxPool2d max(options);
  AvgPool2d avg(options);
  EXPECT_TRUE(same(max(x).value(), autograd::max_pool2d(x, options).value()));
  EXPECT_TRUE(same(avg(x).value(), autograd::avg_pool2d(x, options).value()));
  GlobalAvgPool global;
  Flatten flatten;
  EXPECT_EQ(global(x).shape(), (Shape{2, 1, 1, 3}));
  EXPECT_EQ(flatten(x).shape(), (Shape{2, 108}));
}

TEST(PoolLayers, AdaptiveWindowsDivideThePicture) {
  const Variable x = random_variable({2, 6, 4, 3}, 4);
  EXPECT_TRUE(same(AdaptiveAvgPool2d(1, 1)(x).value(), GlobalAvgPool()(x).value()));
  autograd::Pool2dOptions windows;
  windows.kernel = windows.stride = {2, 4};
  EXPECT_TRUE(same(AdaptiveAvgPool2d(3, 1)(x).value(), autograd::avg_pool2d(x, windows).value()));
  EXPECT_THROW(AdaptiveAvgPool2d(0, 1), ConfigError);
  EXPECT_EQ(message_of<ShapeError>([&] { AdaptiveAvgPool2d(3, 3)(x); }),
            "AdaptiveAvgPool2d: 3x3 outputs do not divide the picture evenly; got x [2,6,4,3] f32 "
            "[N,H,W,C]");
}

TEST(ActivationLayers, HardFunctionsAreTheirFormulas) {
  const Variable x(Tensor::from<float>({-4, -1.5F, 0, 1.5F, 4}, {5}));
  EXPECT_TRUE(
      same(Hardswish()(x).value(), Tensor::from<float>({-0.0F, -0.375F, 0, 1.125F, 4}, {5})));
  EXPECT_TRUE(same(Hardsigmoid()(x).value(), Tensor::from<float>({0, 0.25F, 0.5F, 0.75F, 1}, {5})));
}

TEST(ActivationLayers, CutWhereTheirNamesSay) {
  const Variable x(Tensor::from<float>({-1, 3, 9}, {3}));
  ReLU relu;
  ReLU6 relu6;
  Identity identity;
  EXPECT_TRUE(same(relu(x).value(), Tensor::from<float>({0, 3, 9}, {3})));
  EXPECT_TRUE(same(relu6(x).value(), Tensor::from<float>({0, 3, 6}, {3})));
  EXPECT_EQ(identity(x).id(), x.id());
}

TEST(DropoutLayer, DropsInTrainingOnly) {
  Dropout dropout(0.5);
  const Variable x(Tensor::full<float>({1000}, 1));
  const Tensor y = dropout(x).value();
  int zeros = 0;
  for (int i = 0; i < 1000; ++i) zeros += y.data<float>()[i] == 0;
  EXPECT_GT(zeros, 400);
  EXPECT_LT(zeros, 600);
  dropout.eval();
  EXPECT_TRUE(same(dropout(x).value(), x.value()));
}

TEST(Sequential, RunsItsChildrenInOrder) {
  auto linear = std::make_shared<Linear>(3, 3);
  Sequential model({linear, std::make_shared<ReLU>()});
  const Variable x = random_variable({2, 3}, 6);
  ReLU relu;
  EXPECT_TRUE(same(model(x).value(), relu((*linear)(x)).value()));
  EXPECT_EQ(model.named_parameters()[1].name, "0.bias");
}

}  // namespace
}  // namespace stair::nn
