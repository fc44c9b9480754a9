// Every refusal of the operations: its type, its words and its hint.
#include <gtest/gtest.h>

#include "autograd/op.h"
#include "autograd/ops/add.h"
#include "autograd/ops/avg_pool2d.h"
#include "autograd/ops/batch_norm.h"
#include "autograd/ops/clamp.h"
#include "autograd/ops/concat.h"
#include "autograd/ops/cross_entropy.h"
#include "autograd/ops/dropout.h"
#include "autograd/ops/flatten.h"
#include "autograd/ops/global_avg_pool.h"
#include "autograd/ops/learnable_fake_quantize.h"
#include "autograd/ops/linear.h"
#include "autograd/ops/max_pool2d.h"
#include "autograd/ops/mean.h"
#include "autograd/ops/mse_loss.h"
#include "autograd/ops/pad_channels.h"
#include "autograd/ops/quantize.h"
#include "autograd/ops/relu.h"
#include "autograd/ops/reshape.h"
#include "autograd/ops/softmax.h"

namespace stair::autograd {
namespace {

Variable zeros(const Shape& shape, DType dtype = DType::f32) {
  return Variable(Tensor::zeros(shape, dtype));
}

template <class E, class F>
void expect_refused(const F& f, const std::string& message, const std::string& hint = "") {
  try {
    f();
    ADD_FAILURE() << "accepted, expected: " << message;
  } catch (const E& error) {
    EXPECT_EQ(error.what(), message);
    EXPECT_EQ(error.hint(), hint);
  }
}

const QParams kGrid{{0.5F}, {0}, -1, -8, 7};

}  // namespace

TEST(Errors, FunctionsOfOneInputNameTheElementType) {
  expect_refused<DTypeError>([] { relu(zeros({2}, DType::s32)); },
                             "relu: x is [2] s32, expected f32 or f64",
                             "integers take part once they are quantized tensors");
  expect_refused<ConfigError>([] { clamp(zeros({2}), 3, 1); },
                              "clamp: lo 3 and hi 1, expected lo <= hi");
  expect_refused<ConfigError>([] { dropout(zeros({2}), 1.5, true); },
                              "dropout: p 1.5, expected 0 to 1");
}

TEST(Errors, BinaryOperationsNameTheDimension) {
  expect_refused<ShapeError>(
      [] {
        add(zeros({2, 3, 4}), zeros({5, 4}));
      },
      "add: sizes 3 and 5 of dimension 1 differ and neither is 1; got a [2,3,4] f32, b [5,4] f32",
      "shapes are aligned at their last dimension");
  expect_refused<DTypeError>([] { add(zeros({2}), zeros({2}, DType::f64)); },
                             "add: a and b differ in element type; got a [2] f32, b [2] f64");
}

TEST(Errors, LinearNamesFeaturesBiasAndTypes) {
  const std::string got = "; got x [2,3] f32 [N,I], w [4,5] f32 [O,I]";
  expect_refused<ShapeError>(
      [] {
        linear(zeros({2, 3}), zeros({4, 5}), Variable());
      },
      "linear: w has 5 input features, expected 3" + got);
  expect_refused<ShapeError>(
      [] {
        linear(zeros({2, 3, 3, 5}), zeros({4, 45}), Variable());
      },
      "linear: w has 45 input features, expected 5; got x [2,3,3,5] f32 [N,I], w [4,45] f32 [O,I]",
      "flatten x first");
  expect_refused<ShapeError>(
      [] {
        linear(zeros({2, 3}), zeros({4}), Variable());
      },
      "linear: x needs at least 1 dimension and w needs 2; got x [2,3] f32 [N,I], w [4] f32 [O,I]");
  expect_refused<ShapeError>(
      [] {
        linear(zeros({2, 0}), zeros({4, 0}), Variable());
      },
      "linear: x has no features; got x [2,0] f32 [N,I], w [4,0] f32 [O,I]");
  expect_refused<ShapeError>(
      [] {
        linear(zeros({2, 3}), zeros({4, 3}), zeros({3}));
      },
      "linear: b has shape [3], expected [4]; got x [2,3] f32 [N,I], w [4,3] "
      "f32 [O,I], b [3] f32");
  expect_refused<DTypeError>(
      [] {
        linear(zeros({2, 3}), zeros({4, 3}, DType::f64), Variable());
      },
      "linear: x, w and b differ in element type; got x [2,3] f32 [N,I], w [4,3] f64 [O,I]");
  expect_refused<DTypeError>(
      [] {
        linear(zeros({2, 3}, DType::u8), zeros({4, 3}, DType::u8), Variable());
      },
      "linear: expected f32, f64 or quantized tensors; got x [2,3] u8 [N,I], w [4,3] u8 [O,I]");
}

TEST(Errors, BatchNormNamesTheTensorThatDoesNotFit) {
  const auto run = [](const Variable& x, const Variable& gamma, const Variable& mean,
                      const BatchNormOptions& p) {
    batch_norm(x, gamma, Variable(), mean, mean, p);
  };
  const auto got = [](const char* x, const char* gamma, const char* mean) {
    return str("; got x ", x, " [...,C], gamma ", gamma, ", beta undefined, running mean ", mean,
               ", running var ", mean);
  };
  const Variable x = zeros({4, 3}), none;
  expect_refused<ShapeError>(
      [&] { run(zeros({}), none, none, {}); },
      "batch_norm: x needs a channel dimension" + got("[] f32", "undefined", "undefined"));
  expect_refused<ShapeError>(
      [&] { run(x, zeros({2}), none, {}); },
      "batch_norm: gamma is [2], expected [3]" + got("[4,3] f32", "[2] f32", "undefined"));
  expect_refused<DTypeError>(
      [&] { run(x, zeros({3}, DType::f64), none, {}); },
      "batch_norm: gamma is f64, expected f32 as x" + got("[4,3] f32", "[3] f64", "undefined"));
  expect_refused<ShapeError>(
      [&] { run(x, none, none, {.training = false}); },
      "batch_norm: running_mean and running_var are needed outside training" +
          got("[4,3] f32", "undefined", "undefined"));
  expect_refused<ShapeError>(
      [&] {
        run(zeros({1, 3}), none, none, {});
      },
      "batch_norm: training needs more than one value a channel" +
          got("[1,3] f32", "undefined", "undefined"),
      "use a larger batch, or drop the last incomplete one");
  expect_refused<ConfigError>([&] { run(x, none, none, {.eps = 0}); },
                              "batch_norm: eps 0, expected above 0");
  expect_refused<ConfigError>([&] { run(x, none, none, {.momentum = 2}); },
                              "batch_norm: momentum 2, expected 0 to 1");
}

TEST(Errors, PoolingNamesTheWindow) {
  const std::string got =
      "; got x [1,4,4,2] f32 [N,H,W,C], kernel 3x3, stride 1x1, padding 0,0,3,0";
  expect_refused<ShapeError>(
      [] {
        max_pool2d(zeros({1, 4, 4, 2}), {{3, 3}, {1, 1}, {0, 0, 3, 0}});
      },
      "max_pool2d: padding 3, expected 0 to 2, less than the kernel" + got);
  expect_refused<ShapeError>(
      [] {
        avg_pool2d(zeros({4, 4, 2}), {});
      },
      "avg_pool2d: x needs 4 dimensions; got x [4,4,2] f32 [N,H,W,C], kernel "
      "2x2, stride 2x2, padding 0,0,0,0");
  expect_refused<ShapeError>(
      [] {
        avg_pool2d(zeros({1, 4, 4, 2}), {{2, 2}, {0, 2}});
      },
      "avg_pool2d: kernel and stride need to be at least 1; got x [1,4,4,2] "
      "f32 [N,H,W,C], kernel 2x2, stride 0x2, padding 0,0,0,0");
  expect_refused<ShapeError>(
      [] {
        max_pool2d(zeros({1, 2, 4, 2}), {{3, 3}, {1, 1}});
      },
      "max_pool2d: the window is larger than the padded picture; got x [1,2,4,2] f32 [N,H,W,C], "
      "kernel 3x3, stride 1x1, padding 0,0,0,0");
  expect_refused<ShapeError>(
      [] {
        global_avg_pool(zeros({1, 0, 4, 2}));
      },
      "global_avg_pool: x needs 4 dimensions and at least one pixel; got x "
      "[1,0,4,2] f32 [N,H,W,C]");
}

TEST(Errors, OperationsOnShapesNameTheRule) {
  expect_refused<ShapeError>([] { concat({}, 0); }, "concat: no inputs, expected at least one");
  expect_refused<ShapeError>(
      [] {
        concat({zeros({2, 3}), zeros({4, 3})}, 1);
      },
      "concat: x1 differs from x0 outside axis 1; got x0 [2,3] f32, x1 [4,3] f32");
  expect_refused<ShapeError>(
      [] {
        concat({zeros({2, 3}), zeros({6})}, 0);
      },
      "concat: x1 differs in rank from x0; got x0 [2,3] f32, x1 [6] f32");
  expect_refused<ShapeError>(
      [] {
        concat({zeros({2, 3})}, 2);
      },
      "concat: axis 2, expected 0 to 1; got x0 [2,3] f32");
  expect_refused<DTypeError>(
      [] {
        concat({zeros({2}), zeros({2}, DType::f64)}, 0);
      },
      "concat: x1 differs in element type from x0; got x0 [2] f32, x1 [2] f64");
  expect_refused<ShapeError>([] { flatten(zeros({})); },
                             "flatten: x needs at least 1 dimension; got x [] f32");
  expect_refused<ShapeError>(
      [] {
        reshape(zeros({2, 3}), {4, 2});
      },
      "reshape: the counts of elements differ; got x [2,3] f32, shape [4,2]");
  expect_refused<ShapeError>(
      [] {
        reshape(zeros({2, 3}), {4, -1});
      },
      "reshape: the other dimensions leave no whole size for -1; got x [2,3] "
      "f32, shape [4,-1]");
  expect_refused<ShapeError>(
      [] {
        reshape(zeros({2, 3}), {-6, -1});
      },
      "reshape: the other dimensions leave no whole size for -1; got x [2,3] "
      "f32, shape [-6,-1]");
  expect_refused<ShapeError>(
      [] {
        reshape(zeros({2, 3}), {-2, -3});
      },
      "reshape: one dimension may be -1, no other may be negative; got x "
      "[2,3] f32, shape [-2,-3]");
  expect_refused<ShapeError>(
      [] {
        pad_channels(zeros({2, 3}), -1, 0);
      },
      "pad_channels: x needs a channel dimension, before and after at least "
      "0; got x [2,3] f32 [...,C], before -1, after 0");
  expect_refused<ShapeError>([] { softmax(zeros({})); },
                             "softmax: x is a scalar; got x [] f32, expected [...,C]");
}

TEST(Errors, CrossEntropyNamesTheRowAndValueOfABadTarget) {
  const Variable x = zeros({2, 3});
  const auto run = [&](const std::vector<int64_t>& target) {
    cross_entropy(x, Tensor::from<int64_t>(target, {static_cast<int64_t>(target.size())}));
  };
  const std::string hint = "the classifier needs as many outputs as the data set has classes";
  const std::string got = "; got x [2,3] f32 [N,C], target [2] s64 [N]";
  expect_refused<DataError>(
      [&] {
        run({0, 3});
      },
      "cross_entropy: target of row 1 is 3, expected 0 to 2" + got, hint);
  expect_refused<DataError>(
      [&] {
        run({-1, 0});
      },
      "cross_entropy: target of row 0 is -1, expected 0 to 2" + got, hint);
  expect_refused<ShapeError>([&] { run({0}); },
                             "cross_entropy: target has shape [1], expected [2]; got x [2,3] f32 "
                             "[N,C], target [1] s64 [N]");
  expect_refused<ShapeError>(
      [] { cross_entropy(zeros({3}), Tensor::zeros({3}, DType::s64)); },
      "cross_entropy: x needs 2 dimensions; got x [3] f32 [N,C], target [3] s64 [N]");
  expect_refused<DTypeError>(
      [&] { cross_entropy(x, Tensor::zeros({2}, DType::s32)); },
      "cross_entropy: target needs to be s64; got x [2,3] f32 [N,C], target [2] s32 [N]");
  expect_refused<ConfigError>(
      [&] { cross_entropy(x, Tensor::zeros({2}, DType::s64), {.label_smoothing = 1.5}); },
      "cross_entropy: label_smoothing 1.5, expected 0 to 1");
}

TEST(Errors, OtherLossesNameTheShapes) {
  expect_refused<ShapeError>(
      [] { mse_loss(zeros({2}), zeros({3})); },
      "mse_loss: x and t need one shape with elements; got x [2] f32, t [3] f32");
  expect_refused<DTypeError>([] { mse_loss(zeros({2}), zeros({2}, DType::f64)); },
                             "mse_loss: x and t differ in element type; got x [2] f32, t [2] f64");
  expect_refused<ShapeError>(
      [] {
        mean(zeros({0, 2}));
      },
      "mean: x has no elements; got x [0,2] f32");
}

TEST(Errors, QuantizeNamesTheParameterThatDoesNotFit) {
  const Variable x = zeros({2, 3});
  const auto refused = [&]<class E>(E*, QParams p, DType dtype, const std::string& message) {
    expect_refused<E>([&] { quantize(x, p, dtype); }, message);
  };
  constexpr DTypeError* kDType = nullptr;
  constexpr ConfigError* kConfig = nullptr;
  constexpr ShapeError* kShape = nullptr;
  refused(kDType, kGrid, DType::u8,
          "quantize: range -8 to 7 does not fit u8, expected u8, s8 or s32 that holds it");
  refused(kDType, kGrid, DType::f32,
          "quantize: range -8 to 7 does not fit f32, expected u8, s8 or s32 that holds it");
  refused(kConfig, {{0.5F}, {0}, -1, 7, 7}, DType::s8,
          "quantize: qmin 7 and qmax 7, expected qmin < qmax");
  refused(kShape, {{0.5F}, {0}, 2, -8, 7}, DType::s8,
          "quantize: axis 2 of the parameters; got x [2,3] f32");
  refused(kShape, {{0.5F, 1}, {0, 0}, 1, -8, 7}, DType::s8,
          "quantize: 2 scales and 2 zero points for 3 channels; got x [2,3] f32, axis 1");
  refused(kConfig, {{0.5F, 0}, {0, 0}, 0, -8, 7}, DType::s8,
          "quantize: scale 0 of channel 1, expected a positive finite number");
  refused(kConfig, {{0.5F}, {9}, -1, -8, 7}, DType::s8,
          "quantize: zero point 9 of channel 0, expected -8 to 7");
  refused(kConfig, {{0.5F}, {-9}, -1, -8, 7}, DType::s8,
          "quantize: zero point -9 of channel 0, expected -8 to 7");
  expect_refused<DTypeError>([&] { quantize(quantize(x, kGrid, DType::s8), kGrid, DType::s8); },
                             "quantize: x is quantized already; got x [2,3] s8",
                             "dequantize it first");
}

TEST(Errors, LearnableFakeQuantizeNamesTheParameterThatDoesNotFit) {
  const Variable x = zeros({2, 3}), one(Tensor::full<float>({1}, 1));
  const auto run = [&](const Variable& scale, const Variable& zero, int32_t qmax, int axis) {
    learnable_fake_quantize(x, scale, zero, 0, qmax, axis);
  };
  const auto got = [](const char* scale, int axis) {
    return str("; got x [2,3] f32, scale ", scale, ", zero_point [1] f32, axis ", axis);
  };
  expect_refused<ConfigError>(
      [&] { run(one, one, 7, 2); },
      "learnable_fake_quantize: axis 2, expected -1 to 1" + got("[1] f32", 2));
  expect_refused<ShapeError>(
      [&] { run(zeros({3}), one, 7, 1); },
      "learnable_fake_quantize: scale and zero_point need 3 values" + got("[3] f32", 1));
  expect_refused<DTypeError>([&] { run(zeros({1}, DType::f64), one, 7, -1); },
                             "learnable_fake_quantize: element types differ" + got("[1] f64", -1));
  expect_refused<ConfigError>([&] { run(one, one, 0, -1); },
                              "learnable_fake_quantize: qmin 0 and qmax 0, expected qmin < qmax");
  expect_refused<ConfigError>(
      [&] { run(zeros({1}), one, 7, -1); },
      "learnable_fake_quantize: scale 0 of channel 0, expected a positive finite number",
      "clamp it to 2^-23 after each step");
}

TEST(Errors, AttributesOfAGraphAreChecked) {
  const Variable x = zeros({1, 4, 4, 1});
  Attributes pool = pool_attributes({});
  pool.set("kernel", std::vector<int64_t>{2});
  expect_refused<ConfigError>([&] { find_op("max_pool2d").apply(std::array{x}, pool); },
                              "max_pool2d: attribute 'kernel' has 1 values, expected 2");
  expect_refused<ConfigError>([&] { find_op("leaky_relu").apply(std::array{x}, {}); },
                              "attribute 'slope' is missing");
  expect_refused<ConfigError>([] { find_op("conv9d"); }, "no operation is called 'conv9d'");
}

}  // namespace stair::autograd
