#include "tests/kernels/conv_bf16_cases.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/cpu.h"
#include "kernels/conv/winograd.h"

namespace stair::kernels {
namespace {

// Of conv.h, relative to the sum of the absolute products, and to the largest of them.
constexpr double kBound = 1e-5, kTiledBound = 2e-6;
constexpr float kXScale = 0.0371F;

ConvBf16BackwardData::Args data_args(const Bf16Case& c, float* to) {
  return {c.s, c.terms, c.gy.data(), c.w.data(), c.w_scale.data(), to};
}

ConvBf16BackwardWeights::Args weights_args(const Bf16Case& c, float* to) {
  return {c.s, c.terms, c.x.data(), c.x_signed, c.x_zero_point, kXScale, c.gy.data(), to};
}

double value(double v, bool absolute) {
  return absolute ? std::abs(v) : v;
}

std::vector<double> exact_data(const Bf16Case& c, bool absolute) {
  std::vector<double> gy(c.gy.size()), w(c.w.size()), gx(c.x.size());
  const auto o = static_cast<size_t>(c.s.o);
  for (size_t i = 0; i < gy.size(); ++i)
    gy[i] = value(double{c.gy[i]} * double{c.w_scale[i % o]}, absolute);
  for (size_t i = 0; i < w.size(); ++i) w[i] = value(c.w[i], absolute);
  run<ConvBackwardData<double>>({c.s, gy.data(), w.data(), gx.data()});
  return gx;
}

std::vector<double> exact_weights(const Bf16Case& c, bool absolute) {
  std::vector<double> gy(c.gy.size()), x(c.x.size()), gw(c.w.size());
  for (size_t i = 0; i < gy.size(); ++i) gy[i] = value(c.gy[i], absolute);
  for (size_t i = 0; i < x.size(); ++i) {
    const int32_t code = c.x_signed ? int32_t{static_cast<int8_t>(c.x[i])} : int32_t{c.x[i]};
    x[i] = value(code - c.x_zero_point, absolute) * double{kXScale};
  }
  run<ConvBackwardWeights<double>>({c.s, x.data(), gy.data(), gw.data()});
  return gw;
}

template <class Op, class Args>
void run_impl(const void* impl, const Args& args) {
  static_cast<const typename Op::Impl*>(impl)->run(args);
}

}  // namespace

const Bf16Pass kBf16Data{ConvBf16BackwardData::kName,
                         [](const ConvShape& s) { return s.n * s.h * s.w * s.c; },
                         [](const void* impl, const Bf16Case& c, float* to) {
                           run_impl<ConvBf16BackwardData>(impl, data_args(c, to));
                         },
                         exact_data};
const Bf16Pass kBf16Weights{ConvBf16BackwardWeights::kName,
                            [](const ConvShape& s) { return s.o * s.k(); },
                            [](const void* impl, const Bf16Case& c, float* to) {
                              run_impl<ConvBf16BackwardWeights>(impl, weights_args(c, to));
                            },
                            exact_weights};

std::string Bf16Case::text() const {
  return str("terms ", terms, x_signed ? " s8" : " u8", " zero point ", x_zero_point, " ",
             describe(s));
}

Bf16Case bf16_case(const ConvShape& s, int terms, uint64_t seed) {
  Random random(seed, 7);
  Bf16Case c{.s = s, .terms = terms, .x = {}, .w = {}, .w_scale = {}, .gy = {}};
  c.x_signed = random.below(2) == 0;
  c.x_zero_point = static_cast<int32_t>(random.below(256)) - (c.x_signed ? 128 : 0);
  c.x.resize(static_cast<size_t>(s.n * s.h * s.w * s.c));
  for (uint8_t& code : c.x) code = static_cast<uint8_t>(random.below(256));
  c.w.resize(static_cast<size_t>(s.o * s.k()));
  for (int8_t& code : c.w) code = static_cast<int8_t>(static_cast<int>(random.below(255)) - 127);
  c.w_scale.resize(static_cast<size_t>(s.o));
  for (float& scale : c.w_scale) scale = random.uniform(0.001F, 0.02F);
  c.gy.resize(static_cast<size_t>(s.rows() * s.o));
  for (float& g : c.gy) g = random.uniform(-1.0F, 1.0F);
  return c;
}

Bf16Case random_bf16_case(uint64_t seed, ConvKind kind) {
  return bf16_case(random_conv_shape(seed, kind), 1 + static_cast<int>(seed % 2), seed);
}

std::vector<Entry> kernels_of(const Bf16Pass& pass) {
  std::vector<Entry> kernels;
  for (const Entry& entry : registry().candidates(pass.op))
    if (entry.isa <= detected_isa()) kernels.insert(kernels.begin(), entry);
  return kernels;
}

Guarded result(const Bf16Pass& pass, const Entry& kernel, const Bf16Case& c) {
  const IsaScope scope(kernel.isa);
  Guarded to(pass.outputs(c.s), std::numeric_limits<float>::quiet_NaN());
  pass.run(kernel.impl, c, to.data());
  return to;
}

void expect_close(const Bf16Pass& pass, const Bf16Case& c, Guarded& got, const std::string& note) {
  ASSERT_TRUE(got.zones_intact()) << "written outside the output, " << note << ", " << c.text();
  const std::vector<double> magnitude = pass.exact(c, true);
  const double tiled =
      winograd_pays(c.s) ? kTiledBound * *std::max_element(magnitude.begin(), magnitude.end()) : 0;
  Guarded want = result(pass, kernels_of(pass).front(), c);
  for (int64_t i = 0; i < want.count(); ++i)
    ASSERT_LE(std::abs(got.data()[i] - want.data()[i]),
              std::max(tiled, kBound * magnitude[static_cast<size_t>(i)]))
        << "element " << i << " is " << got.data()[i] << ", expected " << want.data()[i] << ", "
        << note << ", " << c.text();
}

double relative_error(const Bf16Pass& pass, const Bf16Case& c, Guarded& got) {
  const std::vector<double> want = pass.exact(c, false);
  double error = 0, norm = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += std::pow(got.data()[i] - want[i], 2);
    norm += want[i] * want[i];
  }
  return std::sqrt(error / norm);
}

std::vector<ConvShape> network_shapes() {
  const auto same = [](int64_t n, int64_t h, int64_t c, int64_t o, int64_t k, int64_t stride) {
    ConvShape s{.n = n, .h = h, .w = h, .c = c, .o = o, .kh = k, .kw = k};
    s.stride_h = s.stride_w = stride;
    s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = (k - 1) / 2;
    return s;
  };
  std::vector<ConvShape> shapes = {same(2, 33, 3, 20, 7, 2),    same(3, 14, 33, 40, 3, 1),
                                   same(2, 15, 16, 32, 3, 2),   same(2, 14, 32, 17, 1, 2),
                                   same(5, 7, 64, 72, 3, 1),    same(1, 40, 16, 16, 3, 1),
                                   same(17, 1, 130, 100, 1, 1), same(2, 13, 96, 24, 1, 1)};
  shapes.push_back(same(2, 12, 8, 24, 3, 1));
  shapes.back().groups = 8;
  return shapes;
}

}  // namespace stair::kernels
