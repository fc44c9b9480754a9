// The bf16 backward passes of every instruction set against the reference and against double.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/conv/winograd.h"
#include "tests/kernels/conv_bf16_cases.h"

namespace stair::kernels {
namespace {

// Depthwise shapes are for the kernels that every shape reaches.
bool takes(const Entry& kernel, const ConvShape& s) {
  return !s.depthwise() || kernel.isa <= Isa::avx2;
}

void expect_agreement(const Bf16Pass& pass, const Bf16Case& c) {
  for (const Entry& kernel : kernels_of(pass)) {
    if (kernel.isa == Isa::ref || !takes(kernel, c.s)) continue;
    Guarded got = result(pass, kernel, c);
    expect_close(pass, c, got, kernel.name);
  }
}

void expect_agreement(const Bf16Pass& pass, ConvKind kind, uint64_t cases) {
  for (uint64_t seed = 0; seed < cases && !testing::Test::HasFatalFailure(); ++seed)
    expect_agreement(pass, random_bf16_case(seed, kind));
}

void expect_agreement_on_networks(const Bf16Pass& pass) {
  for (const ConvShape& s : network_shapes())
    for (int terms : {1, 2}) expect_agreement(pass, bf16_case(s, terms, 1));
}

// Whole numbers whose sums f32 holds are exact in any order.
void expect_whole_numbers_exact(const Bf16Pass& pass) {
  for (const ConvShape& s : network_shapes())
    for (int terms : {1, 2}) {
      if (winograd_pays(s)) continue;  // tiles compute with fractions
      Bf16Case c = bf16_case(s, terms, 3);
      for (float& g : c.gy) g = std::round(8 * g);
      for (float& scale : c.w_scale) scale = 0.25F;
      Guarded want = result(pass, kernels_of(pass).front(), c);
      for (const Entry& kernel : kernels_of(pass)) {
        Guarded got = result(pass, kernel, c);
        for (int64_t i = 0; i < want.count(); ++i)
          ASSERT_EQ(got.data()[i], want.data()[i])
              << "element " << i << ", " << kernel.name << ", " << c.text();
      }
    }
}

void expect_errors(const Bf16Pass& pass, int terms, double least, double most) {
  const Bf16Case c = bf16_case(
      {.n = 4, .h = 20, .w = 20, .c = 24, .o = 24, .kh = 3, .kw = 3, .pad_top = 1, .pad_left = 1},
      terms, 5);
  for (const Entry& kernel : kernels_of(pass)) {
    Guarded got = result(pass, kernel, c);
    const double error = relative_error(pass, c, got);
    EXPECT_GT(error, least) << kernel.name;
    EXPECT_LT(error, most) << kernel.name;
  }
}

void expect_same_bits_for_any_threads(const Bf16Pass& pass) {
  const int before = num_threads();
  for (const Entry& kernel : kernels_of(pass))
    for (const ConvShape& s : network_shapes())
      for (int terms : {1, 2}) {
        const Bf16Case c = bf16_case(s, terms, 2);
        set_num_threads(1);
        Guarded one = result(pass, kernel, c);
        for (int threads : {2, 4}) {
          set_num_threads(threads);
          Guarded many = result(pass, kernel, c);
          EXPECT_EQ(0, std::memcmp(one.data(), many.data(),
                                   sizeof(float) * static_cast<size_t>(one.count())))
              << threads << " threads, " << kernel.name << ", " << c.text();
        }
      }
  set_num_threads(before);
}

void expect_not_finite(const Bf16Pass& pass) {
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                    std::bit_cast<float>(0x7FFFFFFFU)})
    for (const Entry& kernel : kernels_of(pass))
      for (int terms : {1, 2}) {
        Bf16Case c = bf16_case({.n = 1, .h = 4, .w = 4, .c = 20, .o = 20}, terms, 1);
        for (uint8_t& code : c.x) code = static_cast<uint8_t>(c.x_zero_point + 1);
        for (int8_t& code : c.w) code = 1;
        c.gy[57] = bad;
        Guarded got = result(pass, kernel, c);
        int64_t count = 0;
        for (int64_t i = 0; i < got.count(); ++i) count += !std::isfinite(got.data()[i]);
        EXPECT_EQ(count, 20) << bad << ", " << kernel.name << ", terms " << terms;
      }
}

}  // namespace

TEST(ConvBf16Data, AgreesWithTheReferenceOnDenseShapes) {
  expect_agreement(kBf16Data, ConvKind::dense, 600);
}
TEST(ConvBf16Data, AgreesWithTheReferenceOnGroups) {
  expect_agreement(kBf16Data, ConvKind::grouped, 250);
}
TEST(ConvBf16Data, AgreesWithTheReferenceOnDepthwiseShapes) {
  expect_agreement(kBf16Data, ConvKind::depthwise, 50);
}
TEST(ConvBf16Data, AgreesWithTheReferenceOnShapesOfNetworks) {
  expect_agreement_on_networks(kBf16Data);
}
TEST(ConvBf16Data, IsFarMoreExactWithTwoTerms) {
  expect_errors(kBf16Data, 1, 1e-3, 2.5e-3);
  expect_errors(kBf16Data, 2, 1e-7, 4e-6);
}
TEST(ConvBf16Data, KeepsWhatIsNotFinite) {
  expect_not_finite(kBf16Data);
}
TEST(ConvBf16DataExact, OnWholeNumbers) {
  expect_whole_numbers_exact(kBf16Data);
}
TEST(ConvBf16DataExact, GivesTheSameBitsForAnyNumberOfThreads) {
  expect_same_bits_for_any_threads(kBf16Data);
}

TEST(ConvBf16Weights, AgreesWithTheReferenceOnDenseShapes) {
  expect_agreement(kBf16Weights, ConvKind::dense, 600);
}
TEST(ConvBf16Weights, AgreesWithTheReferenceOnGroups) {
  expect_agreement(kBf16Weights, ConvKind::grouped, 250);
}
TEST(ConvBf16Weights, AgreesWithTheReferenceOnDepthwiseShapes) {
  expect_agreement(kBf16Weights, ConvKind::depthwise, 50);
}
TEST(ConvBf16Weights, AgreesWithTheReferenceOnShapesOfNetworks) {
  expect_agreement_on_networks(kBf16Weights);
}
TEST(ConvBf16Weights, IsFarMoreExactWithTwoTerms) {
  expect_errors(kBf16Weights, 1, 1e-3, 2.5e-3);
  expect_errors(kBf16Weights, 2, 1e-7, 4e-6);
}
TEST(ConvBf16Weights, KeepsWhatIsNotFinite) {
  expect_not_finite(kBf16Weights);
}
TEST(ConvBf16WeightsExact, OnWholeNumbers) {
  expect_whole_numbers_exact(kBf16Weights);
}
TEST(ConvBf16WeightsExact, GivesTheSameBitsForAnyNumberOfThreads) {
  expect_same_bits_for_any_threads(kBf16Weights);
}

}  // namespace stair::kernels
