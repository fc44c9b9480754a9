#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/cpu.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/storage.h"
#include "tests/kernels/conv_int8_cases.h"
#include "tests/support/sanitizers.h"

namespace stair::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Sets the number of threads for a scope.
struct Threads {
  explicit Threads(int count) : before(num_threads()) { set_num_threads(count); }
  ~Threads() { set_num_threads(before); }
  int before;
};

template <class T>
T element(const std::vector<uint8_t>& bytes, size_t i) {
  T value;
  std::memcpy(&value, &bytes[i * sizeof(T)], sizeof(T));
  return value;
}

// x = [[1, 2], [3, 4]] with zero point 1, a 2x2 window at padding 1 on the top left: one product at
// the corner, four inside.
Int8Case tiny() {
  Int8Case c(ConvShape{
      .n = 1, .h = 2, .w = 2, .c = 1, .o = 1, .kh = 2, .kw = 2, .pad_top = 1, .pad_left = 1});
  c.x = {1, 2, 3, 4};
  c.w = {10, 20, 30, 40};
  c.multiplier = {0.25F};
  c.args.x = c.x.data();
  c.args.w = c.w.data();
  c.args.multiplier = c.multiplier.data();
  c.args.x_zero_point = 1;
  return c;
}

// One output whose accumulator is `acc`.
Int8Case single(int32_t acc, float multiplier) {
  Int8Case c(ConvShape{});
  c.x = {0};
  c.w = {0};
  c.multiplier = {multiplier};
  c.bias_s32 = {acc};
  c.args.x = c.x.data();
  c.args.w = c.w.data();
  c.args.multiplier = c.multiplier.data();
  c.args.bias_s32 = c.bias_s32.data();
  return c;
}

}  // namespace

TEST(ConvInt8Reference, HandComputedAccumulators) {
  Int8Case c = tiny();
  c.set_output(ConvOutput::acc);
  const std::vector<uint8_t> y = c.run(Isa::ref);
  // x - 1 = [[0, 1], [2, 3]]
  EXPECT_EQ(element<int32_t>(y, 0), 0 * 40);
  EXPECT_EQ(element<int32_t>(y, 1), 0 * 30 + 1 * 40);
  EXPECT_EQ(element<int32_t>(y, 2), 0 * 20 + 2 * 40);
  EXPECT_EQ(element<int32_t>(y, 3), 0 * 10 + 1 * 20 + 2 * 30 + 3 * 40);
}

TEST(ConvInt8Reference, HandComputedCodesRoundTiesToEven) {
  Int8Case c = tiny();
  c.args.requant = {.inv_scale = 0.25F, .zero_point = 3, .lo = 3, .hi = 14, .is_signed = false};
  // 0, 40, 80, 200 times 1/16 are 0, 2.5, 5, 12.5
  EXPECT_EQ(c.run(Isa::ref), (std::vector<uint8_t>{3, 5, 8, 14}));
}

TEST(ConvInt8Reference, HandComputedResidual) {
  Int8Case c = tiny();
  c.args.requant = {.inv_scale = 0.25F, .zero_point = 3, .lo = 0, .hi = 255, .is_signed = false};
  c.residual = {0xFE, 0, 10, 127};
  c.args.residual = {
      .q = c.residual.data(),
      .is_signed = true,
      .scale = 2,
      .zero_point = 1,
      .scale_q = 4,
      .sum = {.inv_scale = 0.5F, .zero_point = 0, .lo = 0, .hi = 100, .is_signed = false}};
  // codes - 3 = 0, 2, 5, 12; times 4, plus 2 * (-3, -1, 9, 126), halved
  EXPECT_EQ(c.run(Isa::ref), (std::vector<uint8_t>{0, 3, 19, 100}));
}

TEST(ConvInt8Reference, WeightZeroPointIsSubtractedFromEveryWeight) {
  Int8Case c = tiny();
  c.w_zero_point = {10};
  c.args.w_zero_point = c.w_zero_point.data();
  c.set_output(ConvOutput::acc);
  EXPECT_EQ(element<int32_t>(c.run(Isa::ref), 3), 0 * 0 + 1 * 10 + 2 * 20 + 3 * 30);
}

TEST(ConvInt8Exact, EveryInstructionSetAgreesOnRandomShapes) {
  for (uint64_t seed = 0; seed < support::kRandomShapes; ++seed) {
    const Int8Case c = random_int8_case(seed, false);
    for (Isa isa : fast_isas()) expect_exact(c, isa, str("seed ", seed));
  }
}

TEST(ConvInt8Exact, EveryInstructionSetAgreesOnRandomDepthwiseShapes) {
  for (uint64_t seed = 0; seed < support::kRandomShapes; ++seed) {
    const Int8Case c = random_int8_case(seed, true);
    for (Isa isa : fast_isas()) expect_exact(c, isa, str("seed ", seed));
  }
}

TEST(ConvInt8Exact, ThreadsDoNotChangeTheResult) {
  for (int threads : {1, 2, 4}) {
    const Threads scope(threads);
    for (uint64_t seed = 1000; seed < 1030; ++seed) {
      const Int8Case c = random_int8_case(seed, seed % 2 == 0);
      for (Isa isa : fast_isas()) expect_exact(c, isa, str("threads ", threads, " seed ", seed));
    }
  }
}

// More rows and panels than one task takes, each cut apart unevenly.
TEST(ConvInt8Exact, ProblemsCutIntoManyTasksAgree) {
  const ConvShape shapes[] = {
      {.n = 2, .h = 23, .w = 19, .c = 36, .o = 100, .kh = 3, .kw = 3, .pad_top = 1, .pad_left = 1},
      {.n = 1, .h = 5, .w = 5, .c = 260, .o = 330, .kh = 3, .kw = 3},
      {.n = 3, .h = 17, .w = 31, .c = 64, .o = 40},
      {.n = 1, .h = 1, .w = 1, .c = 1024, .o = 515}};
  uint64_t seed = 0;
  for (const ConvShape& s : shapes) {
    Random random(++seed);
    Int8Case c(s);
    c.fill(random);
    for (Isa isa : fast_isas()) expect_exact(c, isa, "many tasks");
  }
}

TEST(ConvInt8Exact, ResultsLargerThanTheCachesAgree) {
  const ConvShape shapes[] = {{.h = 512, .w = 515, .c = 3, .o = 32},
                              {.h = 512, .w = 513, .c = 32, .o = 32, .kw = 2, .groups = 32}};
  for (const ConvShape& s : shapes) {
    Random random(5);
    Int8Case c(s);
    c.fill(random);
    c.set_output(ConvOutput::real);
    const std::vector<uint8_t> reference = c.run(Isa::ref);
    const Scratch aligned(c.output_bytes());
    c.args.y = aligned.as<float>();
    for (Isa isa : fast_isas()) {
      const IsaScope scope(isa);
      conv_int8(c.args);
      EXPECT_EQ(std::memcmp(reference.data(), c.args.y, c.output_bytes()), 0)
          << isa << " " << c.describe();
    }
  }
}

// Windows whose taps outside the picture are left out, since they add nothing:
// pictures so small that no output sees all taps, outputs that see none, batches that fill tiles of
// border pixels, lines of one and of several tiles.
TEST(ConvInt8Exact, PaddingOfZeroPointZeroIsLeftOut) {
  const ConvShape shapes[] = {
      {.n = 40, .h = 4, .w = 5, .c = 64, .o = 40, .kh = 3, .kw = 3},
      {.n = 1, .h = 7, .w = 7, .c = 64, .o = 70, .kh = 3, .kw = 3},
      {.n = 9, .h = 6, .w = 9, .c = 8, .o = 33, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2},
      {.n = 5, .h = 2, .w = 2, .c = 12, .o = 20, .kh = 3, .kw = 3},
      {.n = 3, .h = 9, .w = 8, .c = 16, .o = 20, .kh = 5, .kw = 3, .dilation_h = 2},
      {.n = 2, .h = 8, .w = 6, .c = 24, .o = 22, .kh = 3, .kw = 3, .groups = 2},
      {.n = 2, .h = 5, .w = 14, .c = 64, .o = 34, .kh = 3, .kw = 3},
      {.n = 1, .h = 3, .w = 29, .c = 4, .o = 20, .kh = 5, .kw = 5, .stride_w = 2},
      {.n = 1, .h = 6, .w = 1, .c = 8, .o = 17, .kh = 3, .kw = 3, .dilation_h = 2},
      {.n = 1, .h = 9, .w = 17, .c = 3, .o = 33, .kh = 3, .kw = 7}};
  uint64_t seed = 0;
  for (ConvShape s : shapes)
    for (int64_t pad : {1, 2, 4}) {
      s.pad_top = s.pad_left = pad;
      s.pad_bottom = s.pad_right = 1;
      for (bool is_signed : {false, true}) {
        Random random(++seed);
        Int8Case c(s);
        c.fill(random);
        c.args.x_signed = is_signed;
        c.args.x_zero_point = is_signed ? -128 : 0;
        for (Isa isa : fast_isas()) expect_exact(c, isa, "padding left out");
      }
    }
}

// Sums of 255 * -128 pass 2^24, where float(acc) starts to round, and saturate every 16-bit
// intermediate.
TEST(ConvInt8Exact, TheLargestProductsDoNotSaturate) {
  for (int64_t groups : {1, 80}) {
    for (bool is_signed : {false, true}) {
      for (ConvOutput output : {ConvOutput::acc, ConvOutput::real}) {
        Random random(1);
        Int8Case c(ConvShape{.h = 3, .w = 5, .c = 80, .o = 80, .kh = 3, .kw = 3, .groups = groups});
        c.fill(random);
        c.args.x_signed = is_signed;
        c.args.x_zero_point = is_signed ? 127 : 0;
        std::fill(c.x.begin(), c.x.end(), is_signed ? 0x80 : 0xFF);
        std::fill(c.w.begin(), c.w.end(), -128);
        c.set_output(output);
        for (Isa isa : fast_isas()) expect_exact(c, isa, "largest products");
        if (groups == 1 && output == ConvOutput::acc) {
          EXPECT_EQ(element<int32_t>(c.run(Isa::ref), 0), (is_signed ? 255 : -255) * 128 * 720);
        }
      }
    }
  }
}

TEST(ConvInt8Exact, AccumulatorsAboveTheFloatPrecisionRoundToEven) {
  for (int32_t acc :
       {(1 << 24) + 1, (1 << 24) + 3, -(1 << 24) - 1, (1 << 30) + 65, INT32_MAX, INT32_MIN}) {
    Int8Case c = single(acc, 1.0F);
    c.set_output(ConvOutput::real);
    EXPECT_EQ(element<float>(c.run(Isa::ref), 0), static_cast<float>(static_cast<double>(acc)));
    for (Isa isa : fast_isas()) expect_exact(c, isa, str("acc ", acc));
  }
}

TEST(ConvInt8Exact, InfinitiesSaturateAndNanGivesTheZeroPoint) {
  const float values[] = {kInfinity, -kInfinity, kNan, 3e38F, -3e38F, 2147483648.0F, -0.0F};
  for (bool depthwise : {false, true}) {
    for (bool residual : {false, true}) {
      for (uint64_t seed = 0; seed < 20; ++seed) {
        Random random(seed);
        const int64_t channels = 37;
        Int8Case c(ConvShape{
            .h = 3, .w = 2, .c = channels, .o = channels, .groups = depthwise ? channels : 1});
        c.fill(random);
        c.use_bias(random);
        for (float& m : c.multiplier) m = random.below(2) != 0 ? m : values[random.below(7)];
        for (float& b : c.bias) b = random.below(2) != 0 ? b : values[random.below(7)];
        if (residual) c.use_residual(random);
        c.set_output(seed % 4 == 0 ? ConvOutput::real : ConvOutput::code);
        for (Isa isa : fast_isas()) expect_exact(c, isa, "special values");
      }
    }
  }
  for (Isa isa : available_isas()) {
    for (const auto& [multiplier, code] :
         {std::pair{kInfinity, 90}, {-kInfinity, 10}, {kNan, 77}, {3e38F, 90}}) {
      Int8Case c = single(5, multiplier);
      c.args.requant = {.inv_scale = 100, .zero_point = 77, .lo = 10, .hi = 90, .is_signed = false};
      EXPECT_EQ(c.run(isa)[0], code) << name(isa) << " multiplier " << multiplier;
    }
  }
}

TEST(ConvInt8Exact, NegativeZeroKeepsItsSignWithoutABias) {
  for (Isa isa : available_isas()) {
    Int8Case c = single(0, -1.0F);
    c.set_output(ConvOutput::real);
    EXPECT_TRUE(std::signbit(element<float>(c.run(isa), 0))) << name(isa);
  }
}

TEST(ConvInt8Exact, AZeroPointThatIsNoCodeIsLeftToTheReference) {
  Int8Case c = tiny();
  c.args.x_zero_point = 300;
  c.set_output(ConvOutput::acc);
  for (Isa isa : fast_isas()) expect_exact(c, isa, "zero point 300");
}

TEST(PackedConvInt8, TakesTheFastKernelOfEachInstructionSet) {
  for (Isa isa : fast_isas()) {
    const IsaScope scope(isa);
    for (int64_t groups : {1, 4, 16}) {
      Random random(1);
      Int8Case c(ConvShape{.h = 3, .w = 3, .c = 16, .o = 16, .kh = 3, .kw = 3, .groups = groups});
      c.fill(random);
      const std::string kernel = PackedConvInt8(c.args).kernel();
      EXPECT_NE(kernel.find(groups == 16 ? "depthwise" : "igemm"), std::string::npos) << kernel;
      EXPECT_EQ(kernel.find("ref"), std::string::npos) << kernel;
    }
  }
}

TEST(PackedConvInt8, RunsOtherBatchesAndPicturesWithTheSameWeights) {
  Random random(3);
  Int8Case small(ConvShape{.n = 1, .h = 4, .w = 4, .c = 9, .o = 21, .kh = 3, .kw = 3});
  small.fill(random);
  ConvInt8::Args shapes_only = small.args;
  shapes_only.x = nullptr;
  shapes_only.multiplier = nullptr;
  const PackedConvInt8 packed(shapes_only);
  small.args.s.n = 3;
  small.args.s.h = 7;
  small.x.assign(static_cast<size_t>(3 * 7 * 4 * 9), 17);
  small.args.x = small.x.data();
  std::vector<uint8_t> y(small.output_bytes());
  ConvInt8::Args call = small.args;
  call.y = y.data();
  packed.run(call);
  EXPECT_EQ(y, small.run(Isa::ref)) << packed.kernel();
}

TEST(PackedConvInt8, ABoundCallReadsItsInputEachTime) {
  for (Isa isa : available_isas())
    for (int64_t groups : {1, 9}) {
      const IsaScope scope(isa);
      Random random(4);
      Int8Case c(
          ConvShape{.n = 1, .h = 4, .w = 4, .c = 9, .o = 9, .kh = 3, .kw = 3, .groups = groups});
      c.fill(random);
      c.use_bias(random);
      const PackedConvInt8 packed(c.args);
      std::vector<uint8_t> y(c.output_bytes());
      ConvInt8::Args args = c.args;
      args.y = y.data();
      const std::function<void()> call = packed.bind(args);
      for (int repeat = 0; repeat < 3; ++repeat) {
        for (uint8_t& code : c.x) code = static_cast<uint8_t>(code + 50 * repeat);
        call();
        EXPECT_EQ(y, c.run(Isa::ref)) << packed.kernel();
      }
    }
}

}  // namespace stair::kernels
