#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "core/cpu.h"
#include "core/error.h"
#include "core/random.h"
#include "kernels/qelementwise/qelementwise.h"

namespace stair::kernels {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes random_bytes(Random& random, int64_t n) {
  Bytes bytes(static_cast<size_t>(n));
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random.bits());
  return bytes;
}

CodeInput random_input(Random& random, const Bytes& codes) {
  CodeInput x{codes.data()};
  x.is_signed = random.below(2) != 0;
  x.scale = random.uniform(0.001F, 0.1F);
  x.zero_point = static_cast<int32_t>(random.below(256)) - (x.is_signed ? 128 : 0);
  return x;
}

Requant random_requant(Random& random) {
  Requant r;
  r.is_signed = random.below(2) != 0;
  const int32_t qmin = r.is_signed ? -128 : 0;
  r.inv_scale = 1.0F / random.uniform(0.001F, 0.2F);
  r.zero_point = qmin + static_cast<int32_t>(random.below(256));
  r.lo = random.below(2) != 0 ? r.zero_point : qmin;
  r.hi = random.below(2) != 0
             ? r.zero_point + static_cast<int32_t>(
                                  random.below(static_cast<uint64_t>(qmin + 256 - r.zero_point)))
             : qmin + 255;
  return r;
}

PoolShape random_pool(Random& random) {
  const auto between = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random.below(static_cast<uint64_t>(high - low + 1)));
  };
  PoolShape s{.n = between(1, 3), .h = between(1, 9), .w = between(1, 9), .c = between(1, 80)};
  s.kh = between(1, 4);
  s.kw = between(1, 4);
  s.stride_h = between(1, 3);
  s.stride_w = between(1, 3);
  s.pad_top = between(0, s.kh - 1);
  s.pad_left = between(0, s.kw - 1);
  s.pad_bottom = std::max(between(0, s.kh - 1), s.kh - s.h - s.pad_top);
  s.pad_right = std::max(between(0, s.kw - 1), s.kw - s.w - s.pad_left);
  s.count_include_pad = random.below(2) != 0;
  return s;
}

// y of every instruction set must be the reference's, and nothing may be written behind it.
template <class Op>
void expect_exact(typename Op::Args args, int64_t count, const std::string& note) {
  Bytes expected;
  for (Isa isa : available_isas()) {
    const IsaScope scope(isa);
    Bytes y(static_cast<size_t>(count) + 64, 0xA5);
    args.y = reinterpret_cast<decltype(args.y)>(y.data());
    run<Op>(args);
    if (isa == Isa::ref) expected = y;
    ASSERT_EQ(y, expected) << Op::kName << " on " << name(isa) << ", " << note;
  }
}

}  // namespace

TEST(QElementwiseExact, AdditionAgreesOnEveryInstructionSet) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    Random random(seed);
    const int64_t n = 1 + static_cast<int64_t>(random.below(seed % 10 == 0 ? 40000 : 200));
    const Bytes a = random_bytes(random, n), b = random_bytes(random, n);
    const CodeInput x = random_input(random, a), z = random_input(random, b);
    expect_exact<AddInt8>({n, x, z, random_requant(random), nullptr}, n, str("seed ", seed));
    expect_exact<AddCodes>({n, x, z, nullptr}, n * 4, str("seed ", seed));
  }
}

TEST(QElementwiseExact, MultiplicationAgreesOnEveryInstructionSet) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    Random random(seed);
    const int64_t n = 1 + static_cast<int64_t>(random.below(seed % 10 == 0 ? 40000 : 200));
    const Bytes a = random_bytes(random, n), b = random_bytes(random, n);
    const CodeInput x = random_input(random, a), z = random_input(random, b);
    expect_exact<MulInt8>({n, x, z, random_requant(random), nullptr}, n, str("seed ", seed));
  }
}

TEST(QElementwiseExact, MultiplicationByOneValueAChannelAgreesWithTheWholeTensor) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    const int64_t images = 1 + static_cast<int64_t>(random.below(3)),
                  pixels = 1 + static_cast<int64_t>(random.below(50)),
                  channels = 1 + static_cast<int64_t>(random.below(70)),
                  n = images * pixels * channels;
    const Bytes a = random_bytes(random, n), few = random_bytes(random, images * channels);
    Bytes whole(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i)
      whole[static_cast<size_t>(i)] =
          few[static_cast<size_t>(i / (pixels * channels) * channels + i % channels)];
    const CodeInput x = random_input(random, a);
    CodeInput z = random_input(random, few), stretched = z;
    stretched.q = whole.data();
    const Requant requant = random_requant(random);
    expect_exact<MulInt8>({n, x, z, requant, nullptr, pixels, channels}, n, str("seed ", seed));
    Bytes y(static_cast<size_t>(n)), expected(static_cast<size_t>(n));
    run<MulInt8>({n, x, z, requant, y.data(), pixels, channels});
    run<MulInt8>({n, x, stretched, requant, expected.data()});
    ASSERT_EQ(y, expected) << "seed " << seed;
  }
}

TEST(QElementwiseExact, LookingUpAgreesOnEveryInstructionSet) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    Random random(seed);
    const int64_t n = 1 + static_cast<int64_t>(random.below(seed % 10 == 0 ? 200000 : 300));
    const Bytes x = random_bytes(random, n), table = random_bytes(random, 256);
    expect_exact<LookUpInt8>({n, x.data(), table.data(), nullptr}, n, str("seed ", seed));
    Bytes y(static_cast<size_t>(n));
    run<LookUpInt8>({n, x.data(), table.data(), y.data()});
    for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], table[x[i]]) << i;
  }
}

TEST(QElementwiseExact, RequantizationAgreesOnEveryInstructionSet) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    Random random(seed);
    const int64_t n = 1 + static_cast<int64_t>(random.below(200));
    const Bytes a = random_bytes(random, n);
    const CodeInput x = random_input(random, a);
    expect_exact<RequantizeInt8>({n, x, random_requant(random), nullptr}, n, str("seed ", seed));
  }
}

TEST(QElementwiseExact, AveragePoolingAgreesOnEveryInstructionSet) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    Random random(seed);
    PoolShape s = random_pool(random);
    if (seed % 5 == 0) s = {.n = 2, .h = 7, .w = 7, .c = s.c, .kh = 7, .kw = 7};
    const Bytes codes = random_bytes(random, s.n * s.h * s.w * s.c);
    const CodeInput x = random_input(random, codes);
    expect_exact<AvgPoolInt8>({s, x, random_requant(random), nullptr}, s.n * s.oh() * s.ow() * s.c,
                              str("seed ", seed));
  }
}

TEST(QElementwiseExact, NanGivesTheZeroPointAndInfinitiesSaturate) {
  const Bytes a{0, 1, 2, 3, 4}, b{2, 2, 2, 2, 2};
  CodeInput x{a.data()}, z{b.data()};
  x.zero_point = 2;
  z.zero_point = 2;
  x.scale = std::numeric_limits<float>::infinity();
  Requant r;
  r.zero_point = 9;
  for (Isa isa : available_isas()) {
    const IsaScope scope(isa);
    Bytes y(5);
    run<AddInt8>({5, x, z, r, y.data()});
    EXPECT_EQ(y, (Bytes{0, 0, 9, 255, 255})) << name(isa);
  }
}

TEST(MaxPoolInt8Exact, CodesAndPlacesAgreeOnEveryInstructionSet) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    Random random(seed);
    const PoolShape s = random_pool(random);
    Bytes codes = random_bytes(random, s.n * s.h * s.w * s.c);
    // Few distinct codes, so that a maximum occurs more than once.
    if (seed % 2 == 0)
      for (uint8_t& q : codes) q = static_cast<uint8_t>(q % 3 * 127);
    const int64_t count = s.n * s.oh() * s.ow() * s.c;
    expect_exact<MaxPool<uint8_t>>({s, codes.data(), nullptr, nullptr}, count, str("seed ", seed));
    const auto* signed_codes = reinterpret_cast<const int8_t*>(codes.data());
    expect_exact<MaxPool<int8_t>>({s, signed_codes, nullptr, nullptr}, count, str("seed ", seed));
    std::vector<int32_t> expected;
    Bytes codes_expected;
    for (Isa isa : available_isas()) {
      const IsaScope scope(isa);
      Bytes y(static_cast<size_t>(count));
      std::vector<int32_t> index(static_cast<size_t>(count), -1);
      run<MaxPool<uint8_t>>({s, codes.data(), y.data(), index.data()});
      if (isa == Isa::ref) expected = index;
      ASSERT_EQ(index, expected) << name(isa) << " seed " << seed;
      if (isa == Isa::ref) codes_expected = y;
      ASSERT_EQ(y, codes_expected) << name(isa) << " seed " << seed;
    }
  }
}

}  // namespace stair::kernels
