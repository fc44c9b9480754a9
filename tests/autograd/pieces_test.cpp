// Values and gradients that are a formula for their rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>

#include "autograd/dequantize.h"
#include "autograd/ops/add.h"
#include "autograd/ops/conv2d.h"
#include "autograd/ops/mul.h"
#include "autograd/ops/quantize.h"
#include "autograd/ops/relu.h"

namespace stair::autograd {
namespace {

Tensor normal(const Shape& shape, uint64_t seed) {
  Tensor t = Tensor::empty(shape, DType::f32);
  Random random(seed, 0);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = random.normal();
  return t;
}

// The identity, whose gradient comes in pieces; `asked` collects the pieces.
Variable in_pieces(const Variable& x, std::vector<std::pair<int64_t, int64_t>>& asked) {
  return record("in_pieces", {x}, x.value(), [&asked](const Tensor& gy) {
    return std::vector<Deferred>{
        Deferred(gy.shape(), [&asked, gy](int64_t begin, int64_t end, float* into) {
          const int64_t channels = gy.size(-1);
          {
            static std::mutex mutex;
            const std::lock_guard lock(mutex);
            asked.emplace_back(begin, end);
          }
          std::copy(gy.data<float>() + begin * channels, gy.data<float>() + end * channels, into);
        })};
  });
}

TEST(GradientInPieces, AnOperationThatTakesNoneGetsTheWholeOnce) {
  const Variable x(normal({4, 3}, 1), true), w(normal({4, 3}, 2), true);
  std::vector<std::pair<int64_t, int64_t>> asked;
  in_pieces(mul(x, w), asked).backward(normal({4, 3}, 3));
  EXPECT_EQ(asked, (std::vector<std::pair<int64_t, int64_t>>{{0, 4}}));
  const Variable x2(x.value(), true), w2(w.value(), true);
  mul(x2, w2).backward(normal({4, 3}, 3));
  EXPECT_EQ(std::memcmp(x.grad().raw(), x2.grad().raw(), x.grad().bytes()), 0);
}

TEST(GradientInPieces, AddsToOtherGradientsOfItsVariable) {
  const Variable x(Tensor::from<float>({1, 2}, {2, 1}), true);
  std::vector<std::pair<int64_t, int64_t>> asked;
  const Variable y = relu(x);
  mul(in_pieces(y, asked), mul(in_pieces(y, asked), y)).backward(Tensor::full<float>({2, 1}, 1));
  EXPECT_EQ(x.grad().data<float>()[0], 3);
  EXPECT_EQ(x.grad().data<float>()[1], 12);
}

struct Gradients3 {
  Tensor gx, gw, gb;
};

Gradients3 of_conv(const Tensor& xv, const Tensor& wv, int64_t groups, bool codes,
                   std::vector<std::pair<int64_t, int64_t>>* asked) {
  const Variable x(xv, true), w(wv, true), b(normal({wv.size(0)}, 5), true);
  Conv2dOptions options;
  options.groups = groups;
  options.padding = {wv.size(1) / 2, wv.size(2) / 2, wv.size(1) / 2, wv.size(2) / 2};
  const QParams px{{0.03F}, {100}, -1, 0, 255}, pw{{0.02F}, {0}, -1, -128, 127};
  const Variable y =
      codes ? conv2d(quantize(x, px, DType::u8), quantize(w, pw, DType::s8), b, options)
            : conv2d(x, w, b, options);
  const Tensor gy = normal(y.shape(), 6);
  if (asked != nullptr)
    in_pieces(y, *asked).backward(gy);
  else
    y.backward(gy);
  return {x.grad(), w.grad(), b.grad()};
}

TEST(GradientInPieces, AConvolutionTakesAFewImagesAtATime) {
  struct Case {
    int64_t channels, window, groups;
  };
  for (const Case& c : {Case{40, 1, 1}, Case{24, 3, 1}, Case{72, 3, 72}})
    for (const bool codes : {false, true}) {
      SCOPED_TRACE(testing::Message() << c.channels << ' ' << c.groups << ' ' << codes);
      // Pieces hold 2^21 floats of input and output.
      const int64_t area = 64 * 64, images = 2 + (int64_t{2} << 20) / (2 * area * c.channels);
      const Tensor x = normal({images, 64, 64, c.channels}, 1),
                   w = normal({c.channels, c.window, c.window, c.channels / c.groups}, 2);
      std::vector<std::pair<int64_t, int64_t>> asked;
      const Gradients3 pieces = of_conv(x, w, c.groups, codes, &asked);
      const Gradients3 whole = of_conv(x, w, c.groups, codes, nullptr);
      ASSERT_EQ(asked.size(), 2U);
      EXPECT_EQ(asked[0].first, 0);
      EXPECT_EQ(asked[0].second, asked[1].first);
      EXPECT_EQ(asked[0].second % area, 0);
      EXPECT_EQ(asked[1].second, images * area);
      EXPECT_EQ(std::memcmp(pieces.gx.raw(), whole.gx.raw(), whole.gx.bytes()), 0);
      // Sums of images * area products of normal numbers, split in another way.
      const double spread = std::sqrt(static_cast<double>(images * area));
      for (const auto& [a, b] : {std::pair(pieces.gw, whole.gw), std::pair(pieces.gb, whole.gb)})
        for (int64_t i = 0; i < a.numel(); ++i)
          ASSERT_NEAR(a.data<float>()[i], b.data<float>()[i], 1e-5 * spread) << i;
    }
}

// A leaf that is a formula for the rows of `t`; `asked` collects the pieces.
Variable deferred(const Tensor& t, std::vector<std::pair<int64_t, int64_t>>& asked) {
  const auto rows = [&asked, t](int64_t begin, int64_t end, float* into) {
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    asked.emplace_back(begin, end);
    std::copy(t.data<float>() + begin * t.size(-1), t.data<float>() + end * t.size(-1), into);
  };
  return Variable(Deferred(t.shape(), rows), true);
}

TEST(ValueInPieces, IsEvaluatedOnceWhenItIsReadAndNotBefore) {
  std::vector<std::pair<int64_t, int64_t>> asked;
  const Tensor t = normal({4, 3}, 1);
  const Variable x = deferred(t, asked);
  EXPECT_EQ(x.shape(), t.shape());
  EXPECT_EQ(x.size(1), 3);
  EXPECT_EQ(x.dtype(), DType::f32);
  EXPECT_FALSE(x.quantized());
  EXPECT_TRUE(asked.empty());
  mul(x, x).backward(Tensor::full<float>(t.shape(), 1));
  EXPECT_EQ(std::memcmp(x.value().raw(), t.raw(), t.bytes()), 0);
  EXPECT_EQ(asked, (std::vector<std::pair<int64_t, int64_t>>{{0, 4}}));
  EXPECT_EQ(x.grad().data<float>()[0], 2 * t.data<float>()[0]);
}

// Layers whose bands pay take the value in pieces, forward and backward; others the whole, once.
TEST(ValueInPieces, OfAConvolutionGivesTheBitsOfTheWhole) {
  struct Case {
    int64_t window, groups;
    bool bands;
  };
  for (const Case& c : {Case{1, 1, true}, Case{3, 48, true}, Case{3, 1, false}}) {
    SCOPED_TRACE(testing::Message() << c.window << ' ' << c.groups);
    const Tensor xv = normal({10, 64, 64, 48}, 1),
                 wv = normal({48, c.window, c.window, 48 / c.groups}, 2),
                 gy = normal({10, 64, 64, 48}, 3);
    std::vector<std::pair<int64_t, int64_t>> asked, asked_of_gy;
    const auto run = [&](const Variable& x) {
      Conv2dOptions options;
      options.groups = c.groups;
      options.padding = {c.window / 2, c.window / 2, c.window / 2, c.window / 2};
      const Variable w(wv, true), y = conv2d(x, w, Variable(), options);
      in_pieces(y, asked_of_gy).backward(gy);
      return std::array{y.value(), x.grad(), w.grad()};
    };
    const auto pieces = run(deferred(xv, asked)), whole = run(Variable(xv, true));
    for (size_t i = 0; i < whole.size(); ++i)
      EXPECT_EQ(std::memcmp(pieces[i].raw(), whole[i].raw(), whole[i].bytes()), 0) << i;
    if (c.bands)
      EXPECT_GT(asked.size(), 20U);
    else
      EXPECT_EQ(asked, (std::vector<std::pair<int64_t, int64_t>>{{0, 10 * 64 * 64}}));
  }
}

TEST(ValueInPieces, IsQuantizedToTheBitsOfTheWholeWhichNeverIsMade) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Random random(seed);
    const int64_t rows = 1 + static_cast<int64_t>(random.below(3000)),
                  channels = 1 + static_cast<int64_t>(random.below(70));
    const Tensor xv = normal({rows, channels}, seed), gy = normal({rows, channels}, seed + 1);
    for (const float strange : {NAN, INFINITY, -INFINITY})
      xv.data<float>()[random.below(static_cast<uint64_t>(xv.numel()))] = strange;
    const QParams p{{0.02F}, {seed % 2 == 0 ? 90 : 0}, -1, 0, 255};
    std::vector<std::pair<int64_t, int64_t>> asked;
    const Variable pieces = deferred(xv, asked), whole(xv, true);
    const Variable a = quantize(pieces, p, DType::u8, seed % 3 == 0),
                   b = quantize(whole, p, DType::u8, seed % 3 == 0);
    ASSERT_EQ(std::memcmp(a.value().raw(), b.value().raw(), b.value().bytes()), 0) << seed;
    a.backward(gy), b.backward(gy);
    ASSERT_EQ(std::memcmp(pieces.grad().raw(), whole.grad().raw(), whole.grad().bytes()), 0)
        << seed;
    EXPECT_TRUE(pieces.deferred().in_pieces());
  }
}

TEST(ValueInPieces, OfCodesIsTheirSum) {
  const Tensor xv = normal({3, 20, 20, 24}, 1), zv = normal({3, 20, 20, 24}, 2),
               gy = normal({3, 20, 20, 24}, 3);
  const QParams px{{0.03F}, {100}, -1, 0, 255}, pz{{0.02F}, {-3}, -1, -128, 127};
  const Variable x(xv, true), z(zv, true), a = quantize(x, px, DType::u8),
                                           b = quantize(z, pz, DType::s8);
  const Variable y = add(a, b);
  EXPECT_TRUE(y.deferred().in_pieces());
  const Tensor ra = dequantize(a.value()), rb = dequantize(b.value());
  for (int64_t i = 0; i < xv.numel(); ++i)
    ASSERT_EQ(y.value().data<float>()[i], ra.data<float>()[i] + rb.data<float>()[i]) << i;
  y.backward(gy);
  for (int64_t i = 0; i < xv.numel(); ++i) {
    const int32_t code = a.value().data<uint8_t>()[i];
    if (code > 0 && code < 255) {
      ASSERT_EQ(x.grad().data<float>()[i], gy.data<float>()[i]) << i;
    }
  }
}

// What a watch hears of the gradient of a convolution's input, and that gradient.
struct Heard {
  int64_t chunks = 0;
  std::map<int64_t, std::vector<std::pair<int64_t, int64_t>>> rows;  // of each chunk
  Tensor told, gradient;
};

Heard watched(int64_t window, int readers) {
  const Variable x(normal({3, 128, 128, 24}, 1), true),
      w(normal({24, window, window, 24}, 2), true);
  Heard heard;
  heard.told = Tensor::full<float>(x.shape(), 0);
  std::mutex mutex;
  // A leaf would copy its gradient.
  Variable h = record("keep", {x}, x.value(), [&heard](const Tensor& g) {
    heard.gradient = g;
    return std::vector<Tensor>{g};
  });
  auto watch = std::make_shared<GradientWatch>();
  watch->chunks = [&heard](int64_t count) {
    heard.chunks = count;
    return nullptr;
  };
  watch->written = [&](int64_t chunk, int64_t begin, int64_t end, const float* gradient) {
    const std::lock_guard lock(mutex);
    heard.rows[chunk].emplace_back(begin, end);
    std::copy(gradient, gradient + (end - begin) * 24, heard.told.data<float>() + begin * 24);
  };
  h.set_watch(watch);
  std::vector<std::pair<int64_t, int64_t>> asked;
  Conv2dOptions options;
  options.padding = {window / 2, window / 2, window / 2, window / 2};
  Variable y = in_pieces(conv2d(h, w, Variable(), options), asked);
  if (readers == 2) y = add(y, h);
  y.backward(normal(y.shape(), 3));
  return heard;
}

TEST(GradientWatch, HearsOfEveryRowOnceFromAnOnlyReader) {
  for (const int64_t window : {1, 3}) {
    const Heard heard = watched(window, 1);
    EXPECT_EQ(std::ssize(heard.rows), heard.chunks);
    int64_t row = 0;
    for (const auto& [chunk, ranges] : heard.rows)
      for (const auto& [begin, end] : ranges) {
        EXPECT_EQ(begin, row) << "chunk " << chunk;
        row = end;
      }
    EXPECT_EQ(row, 3 * 128 * 128);
    EXPECT_EQ(std::memcmp(heard.told.raw(), heard.gradient.raw(), heard.told.bytes()), 0);
    EXPECT_EQ(watched(window, 2).chunks, 0);
  }
}

}  // namespace
}  // namespace stair::autograd
