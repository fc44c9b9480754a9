#include "autograd/conv_bands.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/random.h"
#include "tests/support/guarded.h"

namespace stair::autograd {
namespace {

using kernels::ConvShape;

Tensor normal(const Shape& shape, uint64_t seed) {
  Tensor t = Tensor::empty(shape, DType::f32);
  Random random(seed, 0);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = random.normal();
  return t;
}

// Shapes of which most take several bands.
ConvShape drawn(uint64_t seed) {
  Random random(seed, 0);
  const auto draw = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random.below(static_cast<uint64_t>(high - low + 1)));
  };
  ConvShape s{.n = draw(1, 3), .h = draw(1, 70), .w = draw(40, 70), .c = draw(1, 80)};
  s.o = draw(1, 80);
  if (seed % 4 == 0) return s;
  s.o = s.groups = ++s.c;
  s.kh = draw(1, 5), s.kw = draw(1, 5);
  s.stride_h = draw(1, 3), s.stride_w = draw(1, 3);
  s.pad_top = draw(0, s.kh - 1), s.pad_bottom = draw(0, s.kh - 1);
  s.pad_left = draw(0, 3), s.pad_right = draw(0, 3);
  s.dilation_w = draw(1, 2);
  return s;
}

struct Layer {
  ConvShape s;
  Tensor x, w, gy;

  explicit Layer(const ConvShape& shape)
      : s(shape),
        x(normal({s.n, s.h, s.w, s.c}, 1)),
        w(normal({s.o, s.kh, s.kw, s.i()}, 2)),
        gy(normal({s.n, s.oh(), s.ow(), s.o}, 3)) {}

  static Deferred formula(const Tensor& t) {
    const auto rows = [t](int64_t begin, int64_t end, float* into) {
      const int64_t channels = t.size(-1);
      std::copy(t.data<float>() + begin * channels, t.data<float>() + end * channels, into);
    };
    return Deferred(t.shape(), rows, {t.data<float>(), nullptr});
  }
  BandedGradients in_bands(const Deferred& input) const {
    const Deferred gradient = formula(gy);
    return backward_in_bands({s, input, w, gradient, true, true, nullptr});
  }
  void expect_whole(const BandedGradients& g) const {
    const Tensor gx = Tensor::empty(x.shape(), DType::f32);
    const auto doubles = [](const Tensor& v) {
      return std::vector<double>(v.data<float>(), v.data<float>() + v.numel());
    };
    const std::vector<double> xd = doubles(x), gyd = doubles(gy);
    std::vector<double> gw(static_cast<size_t>(w.numel()));
    kernels::run<kernels::ConvBackwardData<float>>(
        {s, gy.data<float>(), w.data<float>(), gx.data<float>()});
    kernels::run<kernels::ConvBackwardWeights<double>>({s, xd.data(), gyd.data(), gw.data()});
    EXPECT_EQ(std::memcmp(g.gx.raw(), gx.raw(), gx.bytes()), 0);
    const double spread = std::sqrt(static_cast<double>(s.rows()));
    for (size_t i = 0; i < gw.size(); ++i)
      ASSERT_NEAR(g.gw.data<float>()[i], gw[i], 1e-5 * spread) << i;
  }
};

TEST(ConvBands, GiveTheGradientsOfTheWhole) {
  int in_bands = 0;
  for (uint64_t seed = 0; seed < 80; ++seed) {
    const ConvShape s = drawn(seed);
    if (s.w + s.pad_left + s.pad_right < s.dilation_w * (s.kw - 1) + 1 ||
        s.h + s.pad_top + s.pad_bottom < s.kh || (seed % 4 != 0 && !ConvBands::fit(s)))
      continue;
    SCOPED_TRACE(seed);
    in_bands += ConvBands(s).count() > s.n ? 1 : 0;
    const Layer layer(s);
    layer.expect_whole(layer.in_bands(layer.x));
  }
  EXPECT_GE(in_bands, 20);
}

TEST(ConvBands, OfAFormulaGiveTheBitsOfTheWhole) {
  int in_bands = 0;
  for (uint64_t seed = 0; seed < 80; ++seed) {
    const ConvShape s = drawn(seed);
    if (s.w + s.pad_left + s.pad_right < s.dilation_w * (s.kw - 1) + 1 ||
        s.h + s.pad_top + s.pad_bottom < s.kh || !ConvBands::fit(s))
      continue;
    SCOPED_TRACE(seed);
    in_bands += ConvBands(s).count() > s.n ? 1 : 0;
    const Layer layer(s);
    const Tensor b = seed % 3 == 0 ? Tensor() : normal({s.o}, 4),
                 y = Tensor::empty({s.n, s.oh(), s.ow(), s.o}, DType::f32);
    kernels::run<kernels::ConvForward<float>>({s, layer.x.data<float>(), layer.w.data<float>(),
                                               b.defined() ? b.data<float>() : nullptr,
                                               y.data<float>()});
    const Deferred x = Layer::formula(layer.x);
    const Tensor banded = forward_in_bands(s, x, layer.w, b);
    EXPECT_EQ(std::memcmp(banded.raw(), y.raw(), y.bytes()), 0);
    const BandedGradients whole = layer.in_bands(layer.x), pieces = layer.in_bands(x);
    EXPECT_EQ(std::memcmp(pieces.gx.raw(), whole.gx.raw(), whole.gx.bytes()), 0);
    EXPECT_EQ(std::memcmp(pieces.gw.raw(), whole.gw.raw(), whole.gw.bytes()), 0);
    EXPECT_TRUE(x.in_pieces());
  }
  EXPECT_GE(in_bands, 20);
}

TEST(ConvBands, GatherTheMomentsOfTheirResult) {
  ConvShape tall{
      .n = 1, .h = 42, .w = 64, .c = 64, .o = 64, .kh = 9};  // its last band has no output
  tall.groups = 64;
  ASSERT_EQ(ConvBands(tall)[ConvBands(tall).count() - 1].gw.count(), 0);
  for (const ConvShape& s : {drawn(4), drawn(5), drawn(8), drawn(13), tall}) {
    const Layer layer(s);
    const auto channels = static_cast<size_t>(layer.s.o);
    std::vector<double> mean(channels), squares(channels);
    std::vector<float> min(channels), max(channels);
    const Tensor b = Tensor::full<float>({layer.s.o}, 100);
    const Tensor y = forward_in_bands(layer.s, Layer::formula(layer.x), layer.w, b,
                                      {mean.data(), squares.data(), min.data(), max.data()});
    const int64_t rows = layer.s.rows();
    for (int64_t o = 0; o < layer.s.o; ++o) {
      SCOPED_TRACE(testing::Message() << s.h << ' ' << o);
      double sum = 0, distances = 0;
      float low = y.data<float>()[o], high = low;
      for (int64_t i = o; i < y.numel(); i += layer.s.o) {
        sum += static_cast<double>(y.data<float>()[i]);
        low = std::min(low, y.data<float>()[i]);
        high = std::max(high, y.data<float>()[i]);
      }
      for (int64_t i = o; i < y.numel(); i += layer.s.o)
        distances += std::pow(static_cast<double>(y.data<float>()[i]) - sum / rows, 2);
      const auto at = static_cast<size_t>(o);
      ASSERT_NEAR(mean[at], sum / rows, 1e-6 * static_cast<double>(high - low) + 1e-10);
      ASSERT_NEAR(squares[at], distances, 1e-5 * distances + 1e-10);
      ASSERT_EQ(min[at], low);
      ASSERT_EQ(max[at], high);
    }
  }
}

TEST(ConvBands, GiveTheGradientsOfTheMiddleLayersOfNetworks) {
  for (const int64_t stride : {1, 2}) {
    ConvShape s{.n = 2, .h = 56, .w = 56, .c = 96, .o = 96, .kh = 3, .kw = 3};
    s.groups = 96;
    s.stride_h = s.stride_w = stride;
    s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = 1;
    ASSERT_TRUE(ConvBands::fit(s));
    EXPECT_GT(ConvBands(s).count(), 2 * s.n);
    const Layer layer(s);
    layer.expect_whole(layer.in_bands(layer.x));
  }
}

TEST(ConvBands, ReadCodes) {
  for (const uint64_t seed : {4, 5}) {
    Layer layer(drawn(seed));
    const Tensor q = Tensor::empty(layer.x.shape(), DType::u8);
    for (int64_t i = 0; i < q.numel(); ++i) {
      q.data<uint8_t>()[i] = static_cast<uint8_t>(i * 37);
      layer.x.data<float>()[i] = static_cast<float>(q.data<uint8_t>()[i] - 9) * 0.05F;
    }
    layer.expect_whole(layer.in_bands(q.with_qparams(QParams{{0.05F}, {9}, -1, 0, 255})));
  }
}

TEST(ConvBands, BitsDoNotDependOnThreads) {
  const Layer pointwise(ConvShape{.n = 2, .h = 64, .w = 64, .c = 40, .o = 24}), depthwise(drawn(5));
  for (const Layer* layer : {&pointwise, &depthwise})
    test::expect_same_for_any_thread_count([&] {
      const BandedGradients g = layer->in_bands(layer->x);
      std::vector<float> all(g.gx.data<float>(), g.gx.data<float>() + g.gx.numel());
      all.insert(all.end(), g.gw.data<float>(), g.gw.data<float>() + g.gw.numel());
      return all;
    });
}

TEST(ConvBands, AreOnlyForLayersThatWaitForMemory) {
  const ConvShape wide{.n = 16, .h = 28, .w = 28, .c = 32, .o = 192};
  EXPECT_TRUE(ConvBands::pay(wide));
  ConvShape other = wide;
  other.n = 1;
  EXPECT_FALSE(ConvBands::pay(other));  // it stays in the cache
  other = wide;
  other.o = 2000;
  EXPECT_FALSE(ConvBands::pay(other));  // many weights
  other = wide;
  other.stride_h = 2;
  EXPECT_FALSE(ConvBands::pay(other));
  other = wide;
  other.kh = other.kw = 3;
  EXPECT_FALSE(ConvBands::pay(other));
  ConvShape depthwise{.n = 1000, .h = 17, .w = 17, .c = 8, .o = 8, .kh = 3, .kw = 3};
  depthwise.groups = 8;
  EXPECT_TRUE(ConvBands::pay(depthwise));
  depthwise.pad_top = 1, depthwise.stride_h = 2;
  EXPECT_FALSE(ConvBands::pay(depthwise));  // no window reaches the last row
}

}  // namespace
}  // namespace stair::autograd
