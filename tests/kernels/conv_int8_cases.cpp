#include "tests/kernels/conv_int8_cases.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/cpu.h"
#include "core/error.h"
#include "core/packed_codes.h"

namespace stair::kernels {
namespace {

int64_t between(Random& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random.below(static_cast<uint64_t>(high - low + 1)));
}

std::vector<uint8_t> random_bytes(Random& random, int64_t n) {
  std::vector<uint8_t> bytes(static_cast<size_t>(n));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.bits());
  return bytes;
}

Requant random_requant(Random& random, float scale) {
  Requant r;
  r.is_signed = random.below(2) != 0;
  const int32_t qmin = r.is_signed ? -128 : 0, qmax = qmin + 255;
  r.inv_scale = 1.0F / scale;
  r.zero_point = static_cast<int32_t>(between(random, qmin, qmax));
  r.lo = random.below(3) == 0 ? r.zero_point : qmin;
  r.hi = random.below(3) == 0 ? static_cast<int32_t>(between(random, r.zero_point, qmax)) : qmax;
  return r;
}

}  // namespace

void Int8Case::fill(Random& random) {
  const ConvShape& s = args.s;
  x = random_bytes(random, s.n * s.h * s.w * s.c);
  const std::vector<uint8_t> bytes = random_bytes(random, s.o * s.k());
  w.assign(bytes.begin(), bytes.end());
  args.x = x.data();
  args.w = w.data();
  args.x_signed = random.below(2) != 0;
  args.x_zero_point = static_cast<int32_t>(random.below(256)) - (args.x_signed ? 128 : 0);
  const float spread = 1.0F / (std::sqrt(static_cast<float>(s.k())) * 128 * 80);
  for (int64_t o = 0; o < s.o; ++o) multiplier.push_back(spread * random.uniform(-0.5F, 2.0F));
  args.multiplier = multiplier.data();
  args.requant = random_requant(random, random.uniform(0.005F, 0.05F));
}

void Int8Case::set_output(ConvOutput output) {
  args.output = output;
}

void Int8Case::use_bias(Random& random) {
  for (int64_t o = 0; o < args.s.o; ++o) bias.push_back(random.uniform(-1, 1));
  args.bias = bias.data();
}

void Int8Case::use_bias_s32(Random& random) {
  for (int64_t o = 0; o < args.s.o; ++o)
    bias_s32.push_back(static_cast<int32_t>(random.bits()) >> 14);
  args.bias_s32 = bias_s32.data();
}

void Int8Case::use_w_zero_point(Random& random) {
  for (int64_t o = 0; o < args.s.o; ++o)
    w_zero_point.push_back(static_cast<int32_t>(between(random, -128, 127)));
  args.w_zero_point = w_zero_point.data();
}

void Int8Case::use_residual(Random& random) {
  residual = random_bytes(random, args.s.rows() * args.s.o);
  Residual& r = args.residual;
  r.q = residual.data();
  r.is_signed = random.below(2) != 0;
  r.scale = random.uniform(0.005F, 0.05F);
  r.zero_point = static_cast<int32_t>(random.below(256)) - (r.is_signed ? 128 : 0);
  r.scale_q = 1.0F / args.requant.inv_scale;
  r.sum = random_requant(random, random.uniform(0.01F, 0.1F));
  r.sum.is_signed = args.requant.is_signed;
}

void Int8Case::use_few_bits(int bits) {
  const int64_t k = args.s.k(), row = packed_bytes(k, bits);
  for (int8_t& code : w) code = static_cast<int8_t>(code >> (8 - bits));
  packed_w.resize(static_cast<size_t>(args.s.o * row));
  for (int64_t o = 0; o < args.s.o; ++o)
    pack_codes(w.data() + o * k, k, bits, packed_w.data() + o * row);
  for (float& m : multiplier) m *= static_cast<float>(1 << (8 - bits));
  few_bits = bits;
}

void Int8Case::set_packed(bool packed) {
  args.w_bits = packed ? few_bits : 8;
  args.w = packed ? reinterpret_cast<const int8_t*>(packed_w.data()) : w.data();
}

size_t Int8Case::output_bytes() const {
  return static_cast<size_t>(args.s.rows() * args.s.o) * (args.output == ConvOutput::code ? 1 : 4);
}

std::string Int8Case::describe() const {
  const ConvShape& s = args.s;
  return str("x[", s.n, ",", s.h, ",", s.w, ",", s.c, "] ", args.x_signed ? "s8" : "u8",
             " zx=", args.x_zero_point, " w[", s.o, ",", s.kh, ",", s.kw, ",", s.i(), "] stride ",
             s.stride_h, ",", s.stride_w, " pad ", s.pad_top, ",", s.pad_left, ",", s.pad_bottom,
             ",", s.pad_right, " dilation ", s.dilation_h, ",", s.dilation_w, " groups ", s.groups,
             " output ", static_cast<int>(args.output), args.bias ? " bias" : "",
             args.bias_s32 ? " bias_s32" : "", args.w_zero_point ? " zw" : "", " w_bits ",
             args.w_bits, args.residual.q ? " residual" : "");
}

std::vector<uint8_t> Int8Case::run(Isa isa, const ChannelMoments& moments) const {
  IsaScope scope(isa);
  std::vector<uint8_t> y(output_bytes() + 64, 0xA5);
  ConvInt8::Args call = args;
  call.y = y.data();
  call.moments = moments;
  conv_int8(call);
  EXPECT_TRUE(std::all_of(y.end() - 64, y.end(), [](uint8_t b) { return b == 0xA5; }))
      << "wrote past y: " << describe();
  y.resize(output_bytes());
  return y;
}

Int8Moments::Int8Moments(int64_t channels)
    : mean(static_cast<size_t>(channels), NAN), squares(mean), min(mean.size(), NAN), max(min) {}

void expect_moments(const Int8Case& c, const Int8Moments& m) {
  Int8Moments expected(c.args.s.o);
  (void)c.run(Isa::ref, expected.targets());
  const auto rows = static_cast<double>(c.args.s.rows());
  for (size_t o = 0; o < m.mean.size(); ++o) {
    const double min = static_cast<double>(expected.min[o]),
                 max = static_cast<double>(expected.max[o]), range = max - min,
                 tiny = 1e-12 * std::max(std::abs(min), std::abs(max));
    ASSERT_EQ(m.min[o], expected.min[o]) << o << ' ' << c.describe();
    ASSERT_EQ(m.max[o], expected.max[o]) << o << ' ' << c.describe();
    ASSERT_NEAR(m.mean[o], expected.mean[o], 1e-6 * range + tiny) << o << ' ' << c.describe();
    ASSERT_NEAR(m.squares[o], expected.squares[o], 2e-6 * range * range * rows + tiny)
        << o << ' ' << c.describe();
  }
}

ConvShape random_conv_shape(Random& random, bool depthwise) {
  ConvShape s;
  s.n = between(random, 1, 3);
  s.kh = between(random, 1, 4) == 1 ? between(random, 1, 5) : between(random, 0, 1) * 2 + 1;
  s.kw = between(random, 1, 4) == 1 ? between(random, 1, 5) : s.kh;
  s.stride_h = between(random, 1, 3);
  s.stride_w = between(random, 1, 3);
  s.dilation_h = between(random, 1, 4) == 1 ? between(random, 2, 3) : 1;
  s.dilation_w = between(random, 1, 4) == 1 ? between(random, 2, 3) : 1;
  s.pad_top = between(random, 0, 2);
  s.pad_left = between(random, 0, 2);
  s.pad_bottom = between(random, 0, 2);
  s.pad_right = between(random, 0, 2);
  s.h = std::max(between(random, 1, 11), s.dilation_h * (s.kh - 1) + 1 - s.pad_top - s.pad_bottom);
  s.w = std::max(between(random, 1, 11), s.dilation_w * (s.kw - 1) + 1 - s.pad_left - s.pad_right);
  s.c = between(random, 1, 70);
  s.o = between(random, 1, 70);
  if (depthwise) {
    s.c = s.o = s.groups = between(random, 2, 150);
  } else if (between(random, 1, 4) == 1) {
    s.groups = between(random, 2, 4);
    s.c = s.groups * between(random, 1, 17);
    s.o = s.groups * between(random, 1, 20);
  }
  return s;
}

Int8Case random_int8_case(uint64_t seed, bool depthwise) {
  Random random(seed, depthwise ? 1 : 0);
  ConvShape shape = random_conv_shape(random, depthwise);
  // A zero point of the lowest code and whole steps of channels are what kernels have short cuts
  // for.
  const bool usual = random.below(2) != 0;
  if (usual && shape.groups == 1) shape.c = (shape.c + 3) / 4 * 4;
  Int8Case c(shape);
  c.fill(random);
  if (usual) c.args.x_zero_point = c.args.x_signed ? -128 : 0;
  c.set_output(static_cast<ConvOutput>(random.below(3)));
  if (random.below(2) != 0) c.use_bias(random);
  if (random.below(3) == 0) c.use_bias_s32(random);
  if (random.below(6) == 0) c.use_w_zero_point(random);
  if (c.args.output == ConvOutput::code && random.below(2) != 0) c.use_residual(random);
  return c;
}

int64_t first_difference(const Int8Case& c, const std::vector<uint8_t>& a,
                         const std::vector<uint8_t>& b) {
  const size_t size = c.args.output == ConvOutput::code ? 1 : 4;
  for (size_t i = 0; i < a.size(); i += size) {
    if (std::memcmp(&a[i], &b[i], size) == 0) continue;
    if (c.args.output == ConvOutput::real) {
      float p = 0, q = 0;
      std::memcpy(&p, &a[i], 4);
      std::memcpy(&q, &b[i], 4);
      if (std::isnan(p) && std::isnan(q)) continue;
    }
    return static_cast<int64_t>(i / size);
  }
  return -1;
}

std::vector<Isa> fast_isas() {
  std::vector<Isa> isas = available_isas();
  std::erase(isas, Isa::ref);
  return isas;
}

void expect_exact(const Int8Case& c, Isa isa, const std::string& note) {
  const int64_t at = first_difference(c, c.run(Isa::ref), c.run(isa));
  EXPECT_EQ(at, -1) << name(isa) << " differs from the reference at output " << at << " (channel "
                    << at % c.args.s.o << "), " << note << ": " << c.describe();
}

}  // namespace stair::kernels
