// Batch norm folded into a convolution where its numbers are awkward.
#include "qat/conv_bn.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/batch_norm.h"
#include "autograd/ops/dequantize.h"
#include "autograd/ops/sum.h"
#include "core/random.h"

namespace stair::qat {
namespace {

constexpr int64_t kChannels = 6, kInputs = 3;

Tensor normal(const Shape& shape, uint64_t seed) {
  Tensor t = Tensor::empty(shape, DType::f32);
  Random random(seed);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = random.normal();
  return t;
}

// Channels: plain; gamma 0; gamma negative; running variance 0; negative and variance 0; a gamma so
// small that its factor is below the guard of 1e-6.
struct Layer {
  Variable weight{normal({kChannels, 3, 3, kInputs}, 1), true};
  Variable bias{normal({kChannels}, 2), true};
  Variable gamma{Tensor::from<float>({1.5F, 0, -2, 1, -0.5F, 1e-8F}, {kChannels}), true};
  Variable beta{normal({kChannels}, 3), true};
  Variable mean{normal({kChannels}, 4)};
  Variable var{Tensor::from<float>({0.7F, 1, 0.3F, 0, 0, 2}, {kChannels})};

  std::vector<Variable> inputs(const Variable& x) const {
    return {x, weight, bias, gamma, beta, mean, var, Variable()};
  }
};

QatConvOptions options() {
  QatConvOptions o;
  o.conv.padding = {1, 1, 1, 1};
  o.batch_norm = true;
  return o;
}

QatConv conv() {
  return {options(), make_quantizer(weight_spec(), kChannels)};
}

// The integers that a calibrated quantizer of the input makes.
Variable codes(const Tensor& x) {
  const auto quantizer = make_quantizer(activation_spec(), 1);
  return (*quantizer)(Variable(x)).detach();
}

void expect_finite(const Tensor& t, const std::string& what) {
  ASSERT_TRUE(t.defined()) << what;
  for (int64_t i = 0; i < t.numel(); ++i)
    ASSERT_TRUE(std::isfinite(t.data<float>()[i])) << what << ", element " << i;
}

// |got - want| <= 1e-5 of the largest magnitude of the channel (the last dimension).
void expect_close(const Tensor& got, const Tensor& want, const std::string& what) {
  ASSERT_EQ(got.shape(), want.shape());
  std::vector<double> largest(kChannels, 1);
  for (int64_t i = 0; i < want.numel(); ++i) {
    double& value = largest[static_cast<size_t>(i % kChannels)];
    value = std::max<double>(value, std::abs(want.data<float>()[i]));
  }
  for (int64_t i = 0; i < want.numel(); ++i)
    ASSERT_NEAR(got.data<float>()[i], want.data<float>()[i],
                1e-5 * largest[static_cast<size_t>(i % kChannels)])
        << what << ", channel " << i % kChannels;
}

TEST(ConvBn, FoldedWeightsAreFiniteAndKeepTheirSign) {
  const Layer layer;
  QatConv c = conv();
  c.eval();
  const auto form = c.folded(layer.inputs({}));
  ASSERT_TRUE(form.weight.quantized());
  expect_finite(form.bias.value(), "bias");
  const int64_t inner = form.weight.value().numel() / kChannels;
  for (int64_t i = 0; i < form.weight.value().numel(); ++i) {
    const int code = form.weight.value().data<int8_t>()[i];
    const float sign =
        layer.gamma.value().data<float>()[i / inner] * layer.weight.value().data<float>()[i];
    EXPECT_GE(static_cast<float>(code) * sign, 0) << "channel " << i / inner;
    if (sign == 0) {
      EXPECT_EQ(code, 0) << "channel " << i / inner;
    }
  }
  for (float scale : form.weight.value().qparams().scale) {
    EXPECT_TRUE(std::isfinite(scale));
    EXPECT_GE(scale, kMinScale);
  }
}

TEST(ConvBn, FoldedFormIsTheUnfoldedOutput) {
  const Layer layer;
  for (bool quantized : {false, true}) {
    QatConv c = conv();
    c.weight_quantizer().enable_fake_quant(quantized);
    c.eval();
    const autograd::NoGrad no_grad;
    const Tensor pictures = normal({2, 5, 5, kInputs}, 7);
    const Variable x = quantized ? codes(pictures) : Variable(pictures);
    const Variable y = c.forward_many(layer.inputs(x));
    // Unfolded: the weights that the integers stand for, without the factor, then batch norm.
    Tensor w = autograd::dequantize(c.folded(layer.inputs({})).weight.value()).clone();
    Tensor gamma = layer.gamma.value().clone();
    for (int64_t i = 0; i < w.numel(); ++i) {
      const int64_t channel = i / (w.numel() / kChannels);
      const float f = gamma.data<float>()[channel] /
                      std::sqrt(layer.var.value().data<float>()[channel] + 1e-5F);
      w.data<float>()[i] = f == 0 ? layer.weight.value().data<float>()[i] : w.data<float>()[i] / f;
    }
    const Variable z =
        autograd::conv2d(autograd::dequantize(x), Variable(w), layer.bias, options().conv);
    autograd::BatchNormOptions bn;
    bn.training = false;
    const Variable want =
        autograd::batch_norm(z, layer.gamma, layer.beta, layer.mean, layer.var, bn);
    expect_close(y.value(), want.value(), quantized ? "integers" : "float");
  }
}

void expect_gradients(QatConv& c, const Tensor& pictures, const std::string& what) {
  const Layer layer;
  const Variable y = c.forward_many(layer.inputs(codes(pictures)));
  expect_finite(y.value(), what + " y");
  y.backward(normal(y.shape(), 9));
  for (const Variable& v : {layer.weight, layer.bias, layer.gamma, layer.beta})
    expect_finite(v.grad(), what + " gradient");
  expect_finite(layer.mean.value(), what + " mean");
  expect_finite(layer.var.value(), what + " variance");
  // gamma = 0 must be able to grow again.
  EXPECT_GT(std::abs(layer.gamma.grad().data<float>()[1]), 1e-3) << what;
}

TEST(ConvBnGrad, GammaOfZeroGetsAGradientInEveryMode) {
  const Tensor pictures = normal({2, 5, 5, kInputs}, 8);
  QatConv training = conv(), frozen = conv();
  frozen.freeze_bn(true);
  expect_gradients(training, pictures, "training");
  expect_gradients(frozen, pictures, "frozen");
}

TEST(ConvBn, AChannelOfGammaZeroIsItsBeta) {
  const Layer layer;
  QatConv c = conv();
  const Variable y = c.forward_many(layer.inputs(codes(normal({2, 5, 5, kInputs}, 8))));
  for (int64_t i = 1; i < y.value().numel(); i += kChannels)
    ASSERT_FLOAT_EQ(y.value().data<float>()[i], layer.beta.value().data<float>()[1]);
}

TEST(ConvBnGrad, ChannelsThatNeverVaryStayFinite) {
  const Layer layer;
  QatConvOptions unpadded = options();
  unpadded.conv.padding = {0, 0, 0, 0};
  QatConv c(unpadded, make_quantizer(weight_spec(), kChannels));
  const Variable x = codes(Tensor::full<float>({2, 5, 5, kInputs}, 0.5F));
  const Variable y = c.forward_many(layer.inputs(x));
  // A batch without variance is at its mean: beta, up to roundings of the mean times 1 / sqrt(eps).
  for (int64_t i = 0; i < y.value().numel(); ++i)
    ASSERT_NEAR(y.value().data<float>()[i], layer.beta.value().data<float>()[i % kChannels], 5e-3);
  y.backward(normal(y.shape(), 9));
  for (const Variable& v : {layer.weight, layer.gamma, layer.beta}) expect_finite(v.grad(), "grad");
  expect_finite(layer.var.value(), "variance");
  for (int step = 0; step < 200; ++step) (void)c.forward_many(layer.inputs(x));
  c.eval();
  expect_finite(c.forward_many(layer.inputs(x)).value(), "after the variance has gone");
}

TEST(ConvBn, FrozenObserversBeforeAnyBatchSayCalibrateFirst) {
  const Layer layer;
  QatConv c = conv();
  c.weight_quantizer().enable_observer(false);
  try {
    (void)c.forward_many(layer.inputs(codes(normal({1, 5, 5, kInputs}, 8))));
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_NE(error.hint().find("calibrate first"), std::string::npos) << error.hint();
  }
}

TEST(ConvBn, WrongNumbersOfInputsAreRefused) {
  QatConv c = conv();
  const std::vector<Variable> three(3);
  EXPECT_THROW((void)c.forward_many(three), ConfigError);
  EXPECT_THROW((void)c.forward(Variable()), ConfigError);
}

TEST(ConvBn, IntegerBiasesAreWholeStepsOfTheAccumulator) {
  const Layer layer;
  QatConvOptions o = options();
  o.integer_bias = true;
  const QatConv c(o, make_quantizer(weight_spec(), kChannels));
  const float x_scale = 0.37F;
  const auto real = c.folded(layer.inputs({})), whole = c.folded(layer.inputs({}), x_scale);
  const std::vector<float>& scale = real.weight.value().qparams().scale;
  ASSERT_EQ(scale, whole.weight.value().qparams().scale);
  int moved = 0, kept = 0;
  for (size_t i = 0; i < kChannels; ++i) {
    const float step = x_scale * scale[i], before = real.bias.value().data<float>()[i],
                after = whole.bias.value().data<float>()[i];
    if (std::abs(before / step) > 1 << 30) {
      EXPECT_EQ(before, after) << "channel " << i;
      ++kept;
      continue;
    }
    EXPECT_EQ(after, std::nearbyint(before / step) * step) << "channel " << i;
    EXPECT_LE(std::abs(after - before), 0.51F * step + 1e-6F * std::abs(before)) << "channel " << i;
    moved += after != before;
  }
  EXPECT_GT(moved, 0);
  // The channel of gamma zero has the smallest scale there is.
  EXPECT_EQ(kept, 0);
  // Steps as small as these leave no bias in 32 bits.
  const auto tiny = c.folded(layer.inputs({}), 1e-12F);
  for (int64_t i = 0; i < kChannels; ++i)
    EXPECT_EQ(tiny.bias.value().data<float>()[i], real.bias.value().data<float>()[i]);
}

TEST(ConvBn, IntegerBiasesPassTheirGradientThrough) {
  const Layer layer;
  QatConvOptions o = options();
  o.integer_bias = true;
  QatConv c(o, make_quantizer(weight_spec(), kChannels));
  c.freeze_bn(true);
  const Variable x = codes(normal({2, 5, 5, kInputs}, 7));
  autograd::sum(c.forward_many(layer.inputs(x))).backward();
  for (int64_t i = 0; i < kChannels; ++i)
    EXPECT_EQ(layer.beta.grad().data<float>()[i], 50) << "channel " << i;
}

TEST(ConvBn, Int8BiasesAreCodesOfOneScale) {
  const Layer layer;
  QatConvOptions o = options();
  o.int8_bias = true;
  QatConv c(o, make_quantizer(weight_spec(), kChannels));
  const Tensor real = c.folded(layer.inputs({})).bias.value(),
               coded = c.folded(layer.inputs({}), 0.37F).bias.value();
  float most = 0;
  for (int64_t i = 0; i < kChannels; ++i) most = std::max(most, std::abs(real.data<float>()[i]));
  const float scale = most / 127.5F;
  for (int64_t i = 0; i < kChannels; ++i) {
    const float code =
        std::clamp(std::nearbyint(real.data<float>()[i] * (1 / scale)), -128.0F, 127.0F);
    EXPECT_EQ(coded.data<float>()[i], code * scale) << "channel " << i;
  }
  c.freeze_bn(true);
  const Variable x = codes(normal({2, 5, 5, kInputs}, 7));
  autograd::sum(c.forward_many(layer.inputs(x))).backward();
  for (int64_t i = 0; i < kChannels; ++i) {
    const float gradient = layer.beta.grad().data<float>()[i];
    EXPECT_TRUE(gradient == 50 || std::abs(real.data<float>()[i]) == most) << "channel " << i;
  }
}

}  // namespace
}  // namespace stair::qat
