#include "kernels/quantize/quantize.h"

#include <limits>

#include "core/qparams.h"
#include "tests/support/guarded.h"

namespace stair::kernels {
namespace {

using test::Guarded;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr int32_t kLow = std::numeric_limits<int32_t>::min(),
                  kHigh = std::numeric_limits<int32_t>::max();

struct Format {
  DType dtype;
  int32_t qmin, qmax;
};

constexpr Format kFormats[] = {
    {DType::u8, 0, 255},      {DType::u8, 0, 15},        {DType::u8, 0, 3},
    {DType::s8, -128, 127},   {DType::s8, -127, 127},    {DType::s8, -8, 7},
    {DType::s8, -2, 1},       {DType::s32, kLow, kHigh}, {DType::s32, -8, 7},
    {DType::s32, 0, 1 << 30}, {DType::u8, 7, 7},         {DType::s32, -(1 << 24), 1 << 24}};

struct Case {
  ChannelLayout layout;
  Format format;
  bool relu;
  std::vector<float> x, scale;
  std::vector<int32_t> zero_point;
};

int32_t random_zero_point(Random& random, const Format& f) {
  if (random.below(4) == 0) return f.qmin;
  if (random.below(4) == 0) return f.qmax;
  if (f.qmin <= 0 && f.qmax >= 0 && random.below(3) == 0) return 0;
  return static_cast<int32_t>(f.qmin + static_cast<int64_t>(random.below(
                                           static_cast<uint64_t>(int64_t{f.qmax} - f.qmin + 1))));
}

// Values within, around and far outside the range: ties, neighbours of the ends, infinities, NaN,
// denormals, huge ones.
float random_value(Random& random, const Format& f, float scale, int32_t zero_point) {
  constexpr float kSpecial[] = {
      0,       -0.0F,    kInf,          -kInf,          NAN,   1e-42F, -1e-42F,
      3.4e38F, -3.4e38F, 2147483648.0F, -2147483648.0F, 1e10F, -1e10F};
  const uint32_t kind = static_cast<uint32_t>(random.below(8));
  if (kind == 0) return kSpecial[random.below(std::size(kSpecial))];
  const double low = static_cast<double>(f.qmin) - zero_point,
               high = static_cast<double>(f.qmax) - zero_point;
  if (kind <= 2)
    return static_cast<float>(
        ((kind == 1 ? low : high) + static_cast<double>(random.below(9)) / 2 - 2) * scale);
  if (kind == 3) return scale * (static_cast<float>(random.below(64)) - 32.5F);
  return static_cast<float>((low + (high - low) * (1.5 * random.uniform() - 0.25)) * scale);
}

Case random_case(Random& random, const ChannelLayout& layout, const Format& format, bool relu) {
  Case k{layout, format, relu, std::vector<float>(static_cast<size_t>(layout.numel())), {}, {}};
  for (int64_t c = 0; c < layout.channels; ++c) {
    const float scales[] = {0.05F, 1.0F, kMinScale, 0.0123F, 3e37F, 0.25F};
    k.scale.push_back(scales[random.below(std::size(scales))]);
    k.zero_point.push_back(random_zero_point(random, format));
  }
  for (size_t i = 0; i < k.x.size(); ++i) {
    const size_t c = i / static_cast<size_t>(layout.inner) % static_cast<size_t>(layout.channels);
    k.x[i] = random_value(random, format, k.scale[c], k.zero_point[c]);
  }
  return k;
}

struct Result {
  std::vector<uint8_t> codes, inside;
  std::vector<float> back;
  bool operator==(const Result&) const = default;
};

Result round_trip(const Case& k) {
  const int64_t n = k.layout.numel();
  Guarded<uint8_t> codes(static_cast<int64_t>(bytes_of(k.format.dtype, n))),
      alone(static_cast<int64_t>(bytes_of(k.format.dtype, n)));
  Guarded<uint8_t> inside((n + 7) / 8);
  Guarded<float> back(n);
  Quantize<float>::Args args{k.layout,      k.x.data(),    k.scale.data(), k.zero_point.data(),
                             k.format.qmin, k.format.qmax, k.relu,         k.format.dtype,
                             codes.data(),  inside.data()};
  run<Quantize<float>>(args);
  args.q = alone.data();
  args.inside = nullptr;
  run<Quantize<float>>(args);
  run<Dequantize<float>>(
      {k.layout, k.format.dtype, codes.data(), k.scale.data(), k.zero_point.data(), back.data()});
  EXPECT_TRUE(codes.intact() && alone.intact() && inside.intact() && back.intact());
  EXPECT_EQ(codes.values(), alone.values());
  return {codes.values(), inside.values(), back.values()};
}

std::vector<ChannelLayout> layouts() {
  std::vector<ChannelLayout> list{{1, 1, 0},    {0, 3, 5},     {1, 1, 1},    {1, 1, 7},
                                  {1, 1, 64},   {1, 1, 1003},  {1, 64, 27},  {1, 8, 576},
                                  {5, 3, 16},   {200, 19, 1},  {30, 64, 1},  {1, 33, 9},
                                  {2, 3, 4000}, {1, 1, 33003}, {1, 230, 147}};
  for (int64_t c = 2; c <= 70; c += 4) list.push_back({1 + c % 5, c, 1 + c * 7 % 23});
  return list;
}

int code_of(float x, float scale, int32_t zero_point, int32_t qmin, int32_t qmax,
            bool relu = false) {
  uint8_t q;
  run<Quantize<float>>(
      {{1, 1, 1}, &x, &scale, &zero_point, qmin, qmax, relu, DType::u8, &q, nullptr});
  return q;
}

}  // namespace

TEST(Quantize, RoundsTiesToEvenAndSaturates) {
  test::for_each_isa([] {
    EXPECT_EQ(code_of(0.5F, 1, 10, 0, 255), 10);
    EXPECT_EQ(code_of(1.5F, 1, 10, 0, 255), 12);
    EXPECT_EQ(code_of(-2.5F, 1, 10, 0, 255), 8);
    EXPECT_EQ(code_of(kInf, 1, 10, 0, 15), 15);
    EXPECT_EQ(code_of(-kInf, 1, 10, 3, 15), 3);
    EXPECT_EQ(code_of(3e38F, kMinScale, 10, 0, 255), 255);
    EXPECT_EQ(code_of(NAN, 1, 10, 0, 255), 10);
    EXPECT_EQ(code_of(-5, 1, 10, 0, 255, true), 10);
    EXPECT_EQ(code_of(-kInf, 1, 10, 0, 255, true), 10);
  });
}

TEST(Quantize, TheStepIsTheProductWithTheRoundedInverse) {
  // 1 / 0.1f rounds to 10, so 0.25 is a tie that goes to the even 2, although 0.25 / 0.1f is
  // below 2.5.
  test::for_each_isa([] { EXPECT_EQ(code_of(0.25F, 0.1F, 0, 0, 255), 2); });
  // 1 / 49 rounds below its value: 24.5 * inv is 0.49999997 or 0.5, and 73.5 * inv likewise decides
  // the tie at 1.5.
  const float inv = 1.0F / 49;
  test::for_each_isa([&] {
    EXPECT_EQ(code_of(73.5F, 49, 0, 0, 255), static_cast<int>(std::nearbyint(73.5F * inv)));
  });
}

TEST(Quantize, MaskHoldsTheElementsInsideTheRange) {
  test::for_each_isa([] {
    const std::vector<float> x{-1, -0.4F, 0, 15.4F, 15.6F, NAN, kInf, -kInf, 0.1F, 3};
    const float scale = 1;
    const int32_t zero = 0;
    Guarded<uint8_t> q(10), inside(2);
    Quantize<float>::Args args{{1, 1, 10}, x.data(), &scale,    &zero,    0,
                               15,         false,    DType::u8, q.data(), inside.data()};
    run<Quantize<float>>(args);
    EXPECT_EQ(inside.values(), (std::vector<uint8_t>{0b00001110, 0b11}));
    args.relu = true;
    run<Quantize<float>>(args);
    EXPECT_EQ(inside.values(), (std::vector<uint8_t>{0b00001000, 0b11}));
    EXPECT_EQ(q.values(), (std::vector<uint8_t>{0, 0, 0, 15, 15, 0, 15, 0, 0, 3}));
  });
}

TEST(Dequantize, SubtractsInIntegersThenScales) {
  test::for_each_isa([] {
    const std::vector<int32_t> q{kLow, kHigh, 0, 16777217};
    const std::vector<float> scale{0.5F, 1}, back{-2147483648.0F, 0, -1, 16777216.0F};
    const std::vector<int32_t> zero{kHigh, 1};
    Guarded<float> x(4);
    run<Dequantize<float>>({{1, 2, 2}, DType::s32, q.data(), scale.data(), zero.data(), x.data()});
    EXPECT_EQ(x.values(), back);
  });
}

void expect_agreement(const ChannelLayout& layout, const Format& format, Random& random) {
  SCOPED_TRACE(testing::Message() << layout.outer << " x " << layout.channels << " x "
                                  << layout.inner << " " << format.dtype << " [" << format.qmin
                                  << ", " << format.qmax << "]");
  const Case k = random_case(random, layout, format, random.below(2) == 0);
  Result expected;
  {
    const IsaScope scope(Isa::ref);
    expected = round_trip(k);
  }
  test::for_each_isa([&] {
    const Result got = round_trip(k);
    ASSERT_EQ(got.codes, expected.codes);
    ASSERT_EQ(got.inside, expected.inside);
    ASSERT_EQ(got.back, expected.back);
  });
}

TEST(QuantizeExact, AgreesWithTheReferenceOnEveryFormatAndLayout) {
  Random random(41);
  for (const ChannelLayout& layout : layouts())
    for (const Format& format : kFormats) expect_agreement(layout, format, random);
}

TEST(QuantizeExact, AgreesWithTheReferenceOnRandomLayouts) {
  Random random(40);
  const auto up_to = [&](uint64_t n) { return 1 + static_cast<int64_t>(random.below(n)); };
  for (int i = 0; i < 500; ++i) {
    const int64_t outer = up_to(8), channels = i % 3 == 0 ? 1 : up_to(70);
    expect_agreement({outer, channels, i % 5 == 0 ? 1 : up_to(60)},
                     kFormats[random.below(std::size(kFormats))], random);
  }
}

TEST(QuantizeExact, EveryFloatNearATieIsRoundedAsTheReferenceDoes) {
  Case k{{1, 1, 0}, {DType::u8, 0, 255}, false, {}, {0.037F}, {100}};
  for (int step = -120; step <= 170; ++step) {
    float x = std::nextafter((static_cast<float>(step) + 0.5F) * 0.037F, -kInf);
    for (int i = 0; i < 4; ++i, x = std::nextafter(x, kInf)) k.x.push_back(x);
  }
  k.layout.inner = static_cast<int64_t>(k.x.size());
  test::for_each_isa([&] {
    const Result got = round_trip(k);
    const IsaScope scope(Isa::ref);
    EXPECT_EQ(got, round_trip(k));
  });
}

TEST(ApplyMaskExact, KeepsGradientsWhoseBitIsSet) {
  test::for_each_isa([] {
    Random random(42);
    std::vector<int64_t> lengths = {0, 1, 7, 8, 9, 16, 23, 64, 65, 1001, 70001};
    for (int64_t n = 2; n <= 502; ++n) lengths.push_back(n);
    for (int64_t n : lengths) {
      std::vector<uint8_t> inside(static_cast<size_t>((n + 7) / 8));
      for (uint8_t& byte : inside) byte = static_cast<uint8_t>(random.below(256));
      std::vector<float> gy = test::random_normal(random, n);
      for (size_t i = 0; i < gy.size(); i += 5) gy[i] = i % 2 == 0 ? NAN : kInf;
      Guarded<float> gx(gy);
      run<ApplyMask<float>>({n, inside.data(), gx.data(), gx.data()});
      for (int64_t i = 0; i < n; ++i) {
        const float expected =
            inside[static_cast<size_t>(i / 8)] >> i % 8 & 1 ? gy[static_cast<size_t>(i)] : 0.0F;
        ASSERT_EQ(0, std::memcmp(&expected, &gx[i], sizeof(float))) << i;
      }
      EXPECT_TRUE(gx.intact());
    }
  });
}

TEST(QuantizeDouble, ProductAndResultAreDouble) {
  const double x = 0.3;
  const float scale = 0.1F;
  const int32_t zero = 5;
  uint8_t q;
  double back;
  run<Quantize<double>>({{1, 1, 1}, &x, &scale, &zero, 0, 255, false, DType::u8, &q, nullptr});
  run<Dequantize<double>>({{1, 1, 1}, DType::u8, &q, &scale, &zero, &back});
  EXPECT_EQ(q, 8);
  EXPECT_EQ(back, 3 * static_cast<double>(scale));
}

TEST(Quantize, ResultsDoNotDependOnThreads) {
  Random random(43);
  const Case k = random_case(random, {1, 50, 1499}, {DType::s8, -128, 127}, false);
  test::for_each_isa([&] {
    test::expect_same_for_any_thread_count([&] {
      Result r = round_trip(k);
      r.codes.insert(r.codes.end(), r.inside.begin(), r.inside.end());
      return r.codes;
    });
  });
}

}  // namespace stair::kernels
