#include "tests/kernels/conv_cases.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/conv/winograd.h"

namespace stair::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
// The contract's bounds, relative to the sum of the absolute products, and to the largest of them.
constexpr double kBound = 1e-5, kTiledBound = 2e-6;

Guarded random_floats(int64_t count, Random& random) {
  Guarded out(count);
  for (int64_t i = 0; i < count; ++i) out.data()[i] = random.uniform(-1.0F, 1.0F);
  return out;
}

int64_t between(Random& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random.below(static_cast<uint64_t>(high - low + 1)));
}

std::vector<double> doubles(Guarded& from, bool absolute) {
  std::vector<double> out(from.data(), from.data() + from.count());
  if (absolute)
    for (double& v : out) v = std::abs(v);
  return out;
}

// Runs a double operation twice, on the values and on their absolute values.
template <class F>
ConvOracle oracle(const ConvShape& s, int64_t count, const F& f) {
  ConvOracle out{std::vector<double>(static_cast<size_t>(count)),
                 std::vector<double>(static_cast<size_t>(count))};
  f(out.value.data(), false);
  f(out.error.data(), true);
  const double largest = *std::max_element(out.error.begin(), out.error.end());
  for (double& e : out.error) e = winograd_pays(s) ? kTiledBound * largest : kBound * e;
  return out;
}

// Steps of 1/64, which floats hold exactly.
constexpr float kScale = 0x1p-6F;

std::vector<Isa> fast_isas() {
  std::vector<Isa> isas;
  for (Isa isa : available_isas())
    if (isa == Isa::avx2 || isa == Isa::avx512) isas.push_back(isa);
  return isas;
}

void expect_agreement_of(RunConv run, ConvCase& c, const ConvOracle& oracle) {
  for (Isa isa : fast_isas()) {
    IsaScope scope(isa);
    Guarded got = run(c);
    ASSERT_TRUE(got.zones_intact()) << "written outside the output, " << isa << ", " << c.text();
    const std::string difference = oracle.compare(got);
    ASSERT_TRUE(difference.empty()) << difference << ", " << isa << ", " << c.text();
  }
}

}  // namespace

Guarded::Guarded(int64_t count, float fill)
    : memory_(allocate(sizeof(float) * static_cast<size_t>(count + 2 * kZone))), count_(count) {
  std::fill(data() - kZone, data() + count + kZone, kNan);
  std::fill(data(), data() + count, fill);
}

bool Guarded::zones_intact() const {
  const auto is_nan = [](float v) { return std::isnan(v); };
  const auto* const begin = reinterpret_cast<const float*>(memory_.get());
  return std::all_of(begin, begin + kZone, is_nan) &&
         std::all_of(begin + kZone + count_, begin + 2 * kZone + count_, is_nan);
}

std::string describe(const ConvShape& s) {
  return str("n", s.n, " h", s.h, " w", s.w, " c", s.c, " o", s.o, " k", s.kh, "x", s.kw,
             " stride ", s.stride_h, "x", s.stride_w, " pad ", s.pad_top, ",", s.pad_left, ",",
             s.pad_bottom, ",", s.pad_right, " dilation ", s.dilation_h, "x", s.dilation_w,
             " groups ", s.groups);
}

std::string ConvCase::text() const {
  return describe(s);
}

ConvCase conv_case(const ConvShape& s, uint64_t seed) {
  Random random(seed);
  return {s, random_floats(s.n * s.h * s.w * s.c, random), random_floats(s.o * s.k(), random),
          random_floats(s.o, random), random_floats(s.rows() * s.o, random)};
}

ConvShape random_conv_shape(uint64_t seed, ConvKind kind) {
  Random random(seed, 1);
  ConvShape s;
  const auto channels = [&] {
    return random.below(3) == 0 ? between(random, 1, 70) : between(random, 1, 20);
  };
  s.n = between(random, 1, 3);
  s.c = channels(), s.o = channels();
  if (kind == ConvKind::grouped) {
    s.groups = between(random, 2, 4);
    s.c = s.groups * between(random, 1, 18), s.o = s.groups * between(random, 1, 18);
  } else if (kind == ConvKind::depthwise) {
    s.groups = s.o = s.c = between(random, 2, 70);
  }
  s.kh = between(random, 1, 4), s.kw = random.below(2) ? s.kh : between(random, 1, 4);
  s.stride_h = between(random, 1, 3),
  s.stride_w = random.below(2) ? s.stride_h : between(random, 1, 3);
  s.dilation_h = random.below(2) ? 1 : between(random, 1, 3),
  s.dilation_w = random.below(2) ? 1 : between(random, 1, 3);
  s.pad_top = between(random, 0, 3), s.pad_left = between(random, 0, 3);
  s.pad_bottom = between(random, 0, 3), s.pad_right = between(random, 0, 3);
  if (kind == ConvKind::tiled) {
    s.kh = s.kw = 3;
    s.stride_h = s.stride_w = s.dilation_h = s.dilation_w = 1;
    s.c = between(random, 16, 70), s.o = between(random, 16, 70);
  }
  if (kind == ConvKind::pointwise) {
    s.kh = s.kw = s.stride_h = s.stride_w = 1;
    s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = 0;
  }
  const int64_t least_h = s.dilation_h * (s.kh - 1) + 1 - s.pad_top - s.pad_bottom;
  const int64_t least_w = s.dilation_w * (s.kw - 1) + 1 - s.pad_left - s.pad_right;
  s.h = std::max<int64_t>({1, least_h, between(random, 1, 9)});
  s.w = std::max<int64_t>({1, least_w, between(random, 1, 14)});
  return s;
}

ConvCase random_conv(uint64_t seed, ConvKind kind) {
  return conv_case(random_conv_shape(seed, kind), seed);
}

std::string ConvOracle::compare(Guarded& got) const {
  for (size_t i = 0; i < value.size(); ++i) {
    const double difference = std::abs(got.data()[i] - value[i]);
    if (!(difference <= error[i]))
      return str("element ", i, " is ", got.data()[i], ", expected ", value[i], " within ",
                 error[i]);
  }
  return "";
}

ConvOracle forward_oracle(ConvCase& c) {
  return oracle(c.s, c.s.rows() * c.s.o, [&](double* y, bool absolute) {
    const auto x = doubles(c.x, absolute), w = doubles(c.w, absolute),
               bias = doubles(c.bias, absolute);
    run<ConvForward<double>>({c.s, x.data(), w.data(), bias.data(), y});
  });
}

ConvOracle backward_data_oracle(ConvCase& c) {
  return oracle(c.s, c.x.count(), [&](double* gx, bool absolute) {
    const auto gy = doubles(c.gy, absolute), w = doubles(c.w, absolute);
    run<ConvBackwardData<double>>({c.s, gy.data(), w.data(), gx});
  });
}

ConvOracle backward_weights_oracle(ConvCase& c) {
  return oracle(c.s, c.w.count(), [&](double* gw, bool absolute) {
    const auto x = doubles(c.x, absolute), gy = doubles(c.gy, absolute);
    run<ConvBackwardWeights<double>>({c.s, x.data(), gy.data(), gw});
  });
}

ConvOracle codes_backward_weights_oracle(ConvCase& c) {
  for (int64_t i = 0; i < c.x.count(); ++i)
    c.x.data()[i] = std::nearbyint(c.x.data()[i] / kScale) * kScale;
  return backward_weights_oracle(c);
}

Guarded run_forward(ConvCase& c) {
  Guarded y(c.s.rows() * c.s.o, kNan);
  run<ConvForward<float>>({c.s, c.x.data(), c.w.data(), c.bias.data(), y.data()});
  return y;
}

Guarded run_backward_data(ConvCase& c) {
  Guarded gx(c.x.count(), kNan);
  run<ConvBackwardData<float>>({c.s, c.gy.data(), c.w.data(), gx.data()});
  return gx;
}

Guarded run_backward_weights(ConvCase& c) {
  Guarded gw(c.w.count(), kNan);
  run<ConvBackwardWeights<float>>({c.s, c.x.data(), c.gy.data(), gw.data()});
  return gw;
}

Guarded run_codes_backward_weights(ConvCase& c) {
  const bool q_signed = c.s.h % 2 == 0;
  const int32_t zero_point = q_signed ? -20 : 100;
  std::vector<int8_t> q(static_cast<size_t>(c.x.count()));
  for (int64_t i = 0; i < c.x.count(); ++i)
    q[static_cast<size_t>(i)] =
        static_cast<int8_t>(static_cast<int32_t>(c.x.data()[i] / kScale) + zero_point);
  Guarded gw(c.w.count(), kNan);
  run<CodesBackwardWeights>({c.s, q.data(), q_signed, zero_point, kScale, c.gy.data(), gw.data()});
  return gw;
}

void expect_agreement(RunConv run, OracleOfConv oracle, ConvKind kind, int cases) {
  for (int i = 0; i < cases && !testing::Test::HasFatalFailure(); ++i) {
    ConvCase c = random_conv(static_cast<uint64_t>(i), kind);
    expect_agreement_of(run, c, oracle(c));
  }
}

void expect_agreement(RunConv run, OracleOfConv oracle, const std::vector<ConvShape>& shapes) {
  for (const ConvShape& s : shapes) {
    ConvCase c = conv_case(s, 1);
    expect_agreement_of(run, c, oracle(c));
  }
}

void expect_agreement_of_long_sums(RunConv run, OracleOfConv oracle) {
  const std::vector<ConvShape> shapes = {{.n = 2, .c = 120000, .o = 16},
                                         {.n = 2, .c = 16, .o = 120000},
                                         {.h = 700, .w = 700, .c = 1, .o = 2},
                                         {.h = 350, .w = 350, .c = 2, .o = 2, .kh = 3, .groups = 2},
                                         {.h = 14, .w = 14, .c = 1200, .o = 20, .kh = 3, .kw = 3},
                                         {.h = 94, .w = 94, .c = 20, .o = 16, .kh = 3, .kw = 3}};
  for (const ConvShape& s : shapes) {
    ConvCase c = conv_case(s, 4);
    for (Guarded* g : {&c.x, &c.w, &c.bias, &c.gy})
      for (int64_t i = 0; i < g->count(); ++i) g->data()[i] = std::abs(g->data()[i]);
    expect_agreement_of(run, c, oracle(c));
  }
}

void expect_same_bits_for_any_threads(RunConv run, const std::vector<ConvShape>& shapes) {
  const int before = num_threads();
  for (Isa isa : fast_isas()) {
    IsaScope scope(isa);
    for (const ConvShape& s : shapes) {
      ConvCase c = conv_case(s, 2);
      set_num_threads(1);
      Guarded one = run(c);
      for (int threads : {2, 4}) {
        set_num_threads(threads);
        Guarded many = run(c);
        EXPECT_EQ(0, std::memcmp(one.data(), many.data(),
                                 sizeof(float) * static_cast<size_t>(one.count())))
            << threads << " threads, " << isa << ", " << c.text();
      }
    }
  }
  set_num_threads(before);
}

}  // namespace stair::kernels
