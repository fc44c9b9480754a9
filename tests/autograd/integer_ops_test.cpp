// Operations on quantized tensors: the forward against a plain computation in this file, the
// gradients against those of the float operation on the dequantized tensors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "autograd/batch_norm_passes.h"
#include "autograd/ops/add.h"
#include "autograd/ops/avg_pool2d.h"
#include "autograd/ops/concat.h"
#include "autograd/ops/conv2d.h"
#include "autograd/ops/dequantize.h"
#include "autograd/ops/flatten.h"
#include "autograd/ops/global_avg_pool.h"
#include "autograd/ops/hardsigmoid.h"
#include "autograd/ops/hardswish.h"
#include "autograd/ops/linear.h"
#include "autograd/ops/max_pool2d.h"
#include "autograd/ops/mul.h"
#include "autograd/ops/pad_channels.h"
#include "autograd/ops/relu.h"
#include "autograd/ops/reshape.h"
#include "autograd/ops/sigmoid.h"
#include "core/cpu.h"
#include "tests/support/gradcheck.h"
#include "tests/support/random_codes.h"

namespace stair::autograd {
namespace {

using test::per_tensor;
using test::random_codes;

Tensor as_float(const Tensor& t) {
  Tensor y = Tensor::empty(t.shape(), DType::f32);
  for (int64_t i = 0; i < t.numel(); ++i)
    y.data<float>()[i] = static_cast<float>(t.data<double>()[i]);
  return y;
}

int32_t code(const Tensor& t, int64_t i) {
  return t.dtype() == DType::u8 ? int32_t{t.data<uint8_t>()[i]} : int32_t{t.data<int8_t>()[i]};
}

void expect_equal(const Tensor& got, const Tensor& want) {
  ASSERT_EQ(got.shape(), want.shape());
  ASSERT_EQ(got.dtype(), want.dtype());
  for (int64_t i = 0; i < got.numel(); ++i)
    ASSERT_EQ(got.data<float>()[i], want.data<float>()[i]) << "element " << i;
}

// y[n,oy,ox,o] = fmaf(float(acc), sx * sw[o], b[o]), walking the definition.
Tensor plain_conv(const Tensor& x, const Tensor& w, const float* b, const Conv2dOptions& p) {
  const int64_t kh = w.size(1), kw = w.size(2), i_size = w.size(3), o_size = w.size(0);
  const int64_t oh =
      (x.size(1) + p.padding[0] + p.padding[2] - p.dilation[0] * (kh - 1) - 1) / p.stride[0] + 1;
  const int64_t ow =
      (x.size(2) + p.padding[1] + p.padding[3] - p.dilation[1] * (kw - 1) - 1) / p.stride[1] + 1;
  Tensor y = Tensor::empty({x.size(0), oh, ow, o_size}, DType::f32);
  for (int64_t at = 0; at < y.numel(); ++at) {
    const int64_t o = at % o_size, ox = at / o_size % ow, oy = at / o_size / ow % oh;
    const int64_t n = at / o_size / ow / oh, g = o / (o_size / p.groups);
    int64_t acc = 0;
    for (int64_t k = 0; k < kh * kw * i_size; ++k) {
      const int64_t h = oy * p.stride[0] - p.padding[0] + k / i_size / kw * p.dilation[0];
      const int64_t v = ox * p.stride[1] - p.padding[1] + k / i_size % kw * p.dilation[1];
      if (h < 0 || h >= x.size(1) || v < 0 || v >= x.size(2)) continue;
      const int64_t from =
          ((n * x.size(1) + h) * x.size(2) + v) * x.size(3) + g * i_size + k % i_size;
      acc += (code(x, from) - x.qparams().zero_point[0]) * code(w, o * kh * kw * i_size + k);
    }
    const float m = x.qparams().scale[0] *
                    w.qparams().scale[w.qparams().per_channel() ? static_cast<size_t>(o) : 0];
    y.data<float>()[at] =
        b != nullptr ? std::fma(static_cast<float>(acc), m, b[o]) : static_cast<float>(acc) * m;
  }
  return y;
}

// The gradients of `f` on quantized inputs equal those on the dequantized ones.
void expect_float_gradients(const test::Function& f, const std::vector<Tensor>& inputs) {
  std::vector<Variable> codes, reals;
  for (const Tensor& t : inputs) {
    codes.emplace_back(t, true);
    reals.emplace_back(dequantize(t), true);
  }
  const Variable y = f(codes), y_real = f(reals);
  const Tensor gy = as_float(test::random_real(y.shape(), 77));
  y.backward(gy);
  y_real.backward(gy);
  for (size_t i = 0; i < inputs.size(); ++i) {
    SCOPED_TRACE(i);
    expect_equal(codes[i].grad(), reals[i].grad());
  }
}

void check_conv(const Shape& xs, const Shape& ws, DType x_type, bool per_channel,
                const Conv2dOptions& p) {
  SCOPED_TRACE(str("x ", xs, " w ", ws, " ", x_type));
  const QParams xp =
      x_type == DType::u8 ? per_tensor(0.021F, 77, 0, 255) : per_tensor(0.03F, -9, -128, 127);
  const Tensor x = random_codes(xs, x_type, xp, 1);
  const Tensor w = random_codes(
      ws, DType::s8,
      per_channel ? test::symmetric_channels(ws[0], 0) : per_tensor(0.04F, 0, -127, 127), 2);
  const Tensor b = as_float(test::random_real({ws[0]}, 3, -5, 5));
  expect_equal(conv2d(Variable(x), Variable(w), Variable(b), p).value(),
               plain_conv(x, w, b.data<float>(), p));
  expect_equal(conv2d(Variable(x), Variable(w), Variable(), p).value(),
               plain_conv(x, w, nullptr, p));
  expect_float_gradients([&](const auto& in) { return conv2d(in[0], in[1], in[2], p); }, {x, w, b});
}

const QParams kU8 = per_tensor(0.05F, 100, 0, 255);

}  // namespace

TEST(IntegerOpsExact, Conv2dIsTheIntegerSumRescaledOnce) {
  check_conv({2, 5, 4, 3}, {7, 3, 3, 3}, DType::u8, true, {.padding = {1, 1, 1, 1}});
  check_conv({1, 7, 6, 8}, {5, 3, 3, 8}, DType::s8, true,
             {.stride = {2, 2}, .padding = {0, 1, 1, 0}});
  check_conv({1, 6, 6, 4}, {4, 3, 3, 1}, DType::u8, true, {.padding = {1, 1, 1, 1}, .groups = 4});
  check_conv({1, 6, 5, 4}, {6, 2, 3, 2}, DType::u8, false, {.stride = {2, 1}, .groups = 2});
  check_conv({1, 7, 7, 2}, {2, 3, 3, 2}, DType::s8, false,
             {.padding = {2, 2, 2, 2}, .dilation = {2, 2}});
}

TEST(IntegerOpsExact, LinearIsTheIntegerSumRescaledOnce) {
  const Tensor x = random_codes({5, 37}, DType::u8, kU8, 1);
  const Tensor w = random_codes({9, 37}, DType::s8, test::symmetric_channels(9, 0), 2);
  const Tensor b = as_float(test::random_real({9}, 3));
  const Tensor want =
      plain_conv(x.reshape({5, 1, 1, 37}), w.reshape({9, 1, 1, 37}), b.data<float>(), {});
  expect_equal(linear(Variable(x), Variable(w), Variable(b)).value(), want.reshape({5, 9}));
  expect_float_gradients([](const auto& in) { return linear(in[0], in[1], in[2]); }, {x, w, b});
}

TEST(IntegerOpsExact, OneQuantizedOperandIsDequantized) {
  const Tensor x = random_codes({2, 6}, DType::u8, kU8, 1),
               w = as_float(test::random_real({3, 6}, 2));
  expect_equal(linear(Variable(x), Variable(w), Variable()).value(),
               linear(Variable(dequantize(x)), Variable(w), Variable()).value());
  expect_equal(relu(Variable(x)).value(), relu(Variable(dequantize(x))).value());
  expect_float_gradients([](const auto& in) { return mul(relu(in[0]), in[0]); }, {x});
}

TEST(IntegerOpsExact, AddIsTwoRoundedProductsAndOneRoundedSum) {
  const Tensor a = random_codes({2, 3, 3, 5}, DType::u8, per_tensor(0.031F, 70, 0, 255), 1);
  const Tensor b = random_codes({2, 3, 3, 5}, DType::s8, per_tensor(0.0173F, -3, -128, 127), 2);
  Tensor want = Tensor::empty(a.shape(), DType::f32);
  for (int64_t i = 0; i < a.numel(); ++i) {
    volatile const float u = 0.031F * static_cast<float>(code(a, i) - 70);
    volatile const float v = 0.0173F * static_cast<float>(code(b, i) + 3);
    want.data<float>()[i] = u + v;
  }
  const Variable y = add(Variable(a), Variable(b));
  EXPECT_FALSE(y.quantized());
  expect_equal(y.value(), want);
  expect_float_gradients([](const auto& in) { return add(in[0], in[1]); }, {a, b});
}

TEST(IntegerOpsExact, MulIsTheExactProductTimesOneFactor) {
  const Tensor a = random_codes({2, 3, 3, 5}, DType::u8, per_tensor(0.031F, 70, 0, 255), 1);
  for (const Shape& shape : {Shape{2, 3, 3, 5}, Shape{2, 1, 1, 5}}) {
    const Tensor b = random_codes(shape, DType::s8, per_tensor(0.0173F, -3, -128, 127), 2);
    Tensor want = Tensor::empty(a.shape(), DType::f32);
    for (int64_t i = 0; i < a.numel(); ++i) {
      const int64_t j = shape.numel() == a.numel() ? i : i / 45 * 5 + i % 5;
      want.data<float>()[i] =
          static_cast<float>((code(a, i) - 70) * (code(b, j) + 3)) * (0.031F * 0.0173F);
    }
    expect_equal(mul(Variable(a), Variable(b)).value(), want);
    expect_float_gradients([](const auto& in) { return mul(in[0], in[1]); }, {a, b});
  }
}

TEST(IntegerOpsExact, FunctionsOfCodesAreRoundedOnceFromDoubleOnEveryInstructionSet) {
  for (DType type : {DType::u8, DType::s8}) {
    const QParams p =
        type == DType::u8 ? per_tensor(0.051F, 120, 0, 255) : per_tensor(0.043F, -7, -128, 127);
    const Tensor x = random_codes({7, 100}, type, p, 1);
    for (Isa isa : available_isas()) {
      const IsaScope scope(isa);
      const Tensor swish = hardswish(Variable(x)).value(), smooth = sigmoid(Variable(x)).value();
      for (int64_t i = 0; i < x.numel(); ++i) {
        const double v = static_cast<float>(code(x, i) - p.zero_point[0]) * p.scale[0];
        const double want = v * std::clamp(v + 3, 0.0, 6.0) / 6;
        ASSERT_EQ(swish.data<float>()[i], static_cast<float>(want)) << isa << ' ' << v;
        ASSERT_EQ(smooth.data<float>()[i], static_cast<float>(1 / (1 + std::exp(-v)))) << isa;
      }
    }
    expect_float_gradients([](const auto& in) { return hardswish(in[0]); }, {x});
    expect_float_gradients([](const auto& in) { return hardsigmoid(in[0]); }, {x});
  }
}

TEST(IntegerOpsExact, AveragesAreIntegerSumsTimesOneFactor) {
  for (const bool count_include_pad : {true, false}) {
    const Pool2dOptions p{{3, 2}, {2, 1}, {1, 1, 2, 0}, count_include_pad};
    const Tensor x = random_codes({2, 5, 4, 3}, DType::s8, per_tensor(0.07F, 5, -128, 127), 1);
    const Tensor y = avg_pool2d(Variable(x), p).value();
    ASSERT_EQ(y.shape(), (Shape{2, 3, 4, 3}));
    for (int64_t at = 0; at < y.numel(); ++at) {
      const int64_t c = at % 3, ox = at / 3 % 4, oy = at / 12 % 3, n = at / 36;
      int32_t sum = 0, inside = 0;
      for (int64_t h = oy * 2 - 1; h < oy * 2 + 2; ++h)
        for (int64_t w = ox - 1; w < ox + 1; ++w)
          if (h >= 0 && h < 5 && w >= 0 && w < 4)
            sum += code(x, ((n * 5 + h) * 4 + w) * 3 + c) - 5, ++inside;
      const float factor = 0.07F / static_cast<float>(count_include_pad ? 6 : inside);
      ASSERT_EQ(y.data<float>()[at], static_cast<float>(sum) * factor) << at;
    }
    expect_float_gradients([&](const auto& in) { return avg_pool2d(in[0], p); }, {x});
  }
}

TEST(IntegerOpsExact, GlobalAverageIsTheIntegerSumTimesOneFactor) {
  const Tensor x = random_codes({2, 7, 7, 3}, DType::u8, kU8, 1);
  const Tensor y = global_avg_pool(Variable(x)).value();
  ASSERT_EQ(y.shape(), (Shape{2, 1, 1, 3}));
  for (int64_t at = 0; at < 6; ++at) {
    int32_t sum = 0;
    for (int64_t i = 0; i < 49; ++i) sum += code(x, (at / 3 * 49 + i) * 3 + at % 3) - 100;
    EXPECT_EQ(y.data<float>()[at], static_cast<float>(sum) * (0.05F / 49.0F));
  }
  expect_float_gradients([](const auto& in) { return global_avg_pool(in[0]); }, {x});
}

TEST(IntegerOpsExact, MovingElementsKeepsCodesAndParameters) {
  const Tensor x = random_codes({2, 4, 4, 3}, DType::u8, kU8, 1);
  const Pool2dOptions pool{{3, 3}, {2, 2}, {1, 1, 1, 1}};
  const std::vector<test::Function> moves = {
      [&](const auto& in) { return max_pool2d(in[0], pool); },
      [](const auto& in) { return flatten(in[0]); },
      [](const auto& in) {
        return reshape(in[0], {8, -1});
      },
      [](const auto& in) { return pad_channels(in[0], 1, 2); },
      [](const auto& in) {
        return concat({in[0], in[0]}, 3);
      },
  };
  for (size_t i = 0; i < moves.size(); ++i) {
    SCOPED_TRACE(i);
    const Variable y = moves[i]({Variable(x)});
    ASSERT_TRUE(y.quantized());
    EXPECT_EQ(y.dtype(), DType::u8);
    EXPECT_EQ(y.value().qparams(), kU8);
    expect_equal(dequantize(y.value()), moves[i]({Variable(dequantize(x))}).value());
    expect_float_gradients(moves[i], {x});
  }
}

TEST(IntegerOpsExact, ConcatOfDifferentGridsIsFloat) {
  const Tensor a = random_codes({2, 3}, DType::u8, kU8, 1);
  const Tensor b = random_codes({2, 3}, DType::u8, per_tensor(0.06F, 100, 0, 255), 2);
  const Variable y = concat({Variable(a), Variable(b)}, 1);
  EXPECT_FALSE(y.quantized());
  expect_equal(y.value(), concat({Variable(dequantize(a)), Variable(dequantize(b))}, 1).value());
}

TEST(IntegerOpsExact, ChannelParametersAreGivenUpWhenChannelsMove) {
  const Tensor w = random_codes({4, 3}, DType::s8, test::symmetric_channels(4, 0), 1);
  const Variable y = reshape(Variable(w), {3, 4});
  EXPECT_FALSE(y.quantized());
  expect_equal(y.value(), dequantize(w).reshape({3, 4}));
}

// A convolution of integers may gather the statistics that batch norm otherwise reads from it.
TEST(IntegerConv2d, GathersTheSumsOfBatchNorm) {
  const Variable x(random_codes({3, 9, 9, 24}, DType::u8, per_tensor(0.05F, 30, 0, 255), 1)),
      w(random_codes({40, 3, 3, 24}, DType::s8, per_tensor(0.02F, 0, -128, 127), 2));
  Conv2dOptions options;
  EXPECT_EQ(conv2d(x, w, Variable(), options).sums(), nullptr);
  options.moments = true;
  Variable y = conv2d(x, w, Variable(), options);
  ASSERT_NE(y.sums(), nullptr);
  const auto moments = [](const Variable& values) {
    const Variable mean(Tensor::zeros({40}, DType::f32)), var(Tensor::full<float>({40}, 1));
    const BatchMoments m =
        batch_moments(values, Variable(), Variable(), mean, var, {.training = true}, true);
    std::vector<float> all = m.min;
    all.insert(all.end(), m.max.begin(), m.max.end());
    for (const Tensor& t : {m.mean, m.invstd, m.scale, m.shift, mean.value(), var.value()})
      all.insert(all.end(), t.data<float>(), t.data<float>() + 40);
    return all;
  };
  const std::vector<float> gathered = moments(y), read = moments(y.detach());
  ASSERT_EQ(gathered.size(), read.size());
  for (size_t i = 0; i < read.size(); ++i)
    ASSERT_NEAR(gathered[i], read[i], 2e-6 * std::max(1.0F, std::abs(read[i]))) << i;
  y.set_value(Tensor::zeros(y.shape(), DType::f32));
  EXPECT_EQ(y.sums(), nullptr);  // they were another value's
}

}  // namespace stair::autograd
