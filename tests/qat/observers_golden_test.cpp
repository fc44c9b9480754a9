// Observers, and quantizers with their switches, against PyTorch.
#include <gtest/gtest.h>

#include <cstdio>

#include "autograd/ops/dequantize.h"
#include "qat/histogram.h"
#include "tests/qat/golden_quantizer.h"
#include "tests/support/golden.h"
#include "tests/support/stack.h"

namespace stair::qat {
namespace {

using test::GoldenCase;
using test::GoldenRunner;

// Codes as the case gives them; a case that is refused names the type alone.
QuantizationSpec spec_of(const GoldenCase& c) {
  const std::string& type = c.attrs().at("dtype").as_string();
  const std::string& scheme = c.attrs().at("qscheme").as_string();
  const bool is_signed = type[0] != 'u', reduced = type.ends_with("_reduced");
  const int32_t low = !is_signed ? 0 : reduced ? -64 : -128;
  const int32_t high = is_signed ? (reduced ? 63 : 127) : (reduced ? 127 : 255);
  QuantizationSpec spec = spec_of_codes(static_cast<int32_t>(c.integer("quant_min", low)),
                                        static_cast<int32_t>(c.integer("quant_max", high)));
  spec.is_signed = is_signed;
  // A reduced range is one of 8 bits that leaves codes out.
  int bits = spec.bits;
  (void)std::sscanf(type.c_str(), is_signed ? "int%d" : "uint%d", &bits);
  spec.bits = bits;
  spec.symmetric = scheme.ends_with("symmetric");
  spec.axis = scheme.starts_with("per_channel") ? static_cast<int>(c.integer("ch_axis", 0)) : -1;
  spec.averaging_constant = c.number("averaging_constant", 0.01);
  return spec;
}

void expect_histogram(GoldenCase& c, const Quantizer& quantizer) {
  const Tensor exact = state_of(quantizer, "histogram");
  Tensor counts = Tensor::empty(c.output("histogram").shape(), DType::f32);
  for (int64_t i = 0; i < exact.numel(); ++i)
    counts.data<float>()[i] = static_cast<float>(exact.data<double>()[i]);
  c.expect_output("histogram", counts);
  const auto [low, high] = dynamic_cast<const HistogramObserver&>(quantizer.observer()).clip(0);
  c.expect_output("clip_min", Tensor::full<float>(c.output("clip_min").shape(), low));
  c.expect_output("clip_max", Tensor::full<float>(c.output("clip_max").shape(), high));
}

void run_observer(GoldenCase& c) {
  const std::string& observer = c.attrs().at("class").as_string();
  QuantizationSpec spec = spec_of(c);
  const bool histogram = observer == "HistogramObserver";
  spec.observer = histogram                        ? "histogram"
                  : observer.starts_with("Moving") ? "moving_average_minmax"
                                                   : "minmax";
  const Tensor first = c.input("batch0");
  const auto quantizer = make_quantizer(spec, spec.axis < 0 ? 1 : first.size(spec.axis));
  std::vector<Tensor> scales, zeros;
  for (int i = 0; c.has_input(str("batch", i)); ++i) {
    (void)(*quantizer)(Variable(c.input(str("batch", i))));
    scales.push_back(scales_of(quantizer->qparams()));
    zeros.push_back(zero_points_of(quantizer->qparams()));
  }
  if (c.expects_error()) return;
  const auto like = [&](const char* role, const Tensor& t) {
    c.expect_output(role, t.reshape(c.output(role).shape()));
  };
  like("min_val", state_of(*quantizer, "min_val"));
  like("max_val", state_of(*quantizer, "max_val"));
  like("scale", scales.back());
  like("zero_point", zeros.back());
  if (histogram) expect_histogram(c, *quantizer);
  if (!c.has_output("scale_after_each_batch")) return;
  c.expect_output("scale_after_each_batch", test::stack(scales));
  c.expect_output("zero_point_after_each_batch", test::stack(zeros));
}

void run_module(GoldenCase& c) {
  const QuantizationSpec spec = spec_of(c);
  const Tensor xs = c.input("x_per_step"), gys = c.input("gy_per_step");
  const int64_t channels = spec.axis < 0 ? 1 : xs.size(spec.axis + 1);
  const bool fused = c.name().find("fused") != std::string::npos;
  const auto quantizer = fused && spec.symmetric ? make_fused_symmetric(spec, channels)
                                                 : make_quantizer(spec, channels);
  const std::vector<int64_t> observe = c.integers("observer_enabled_per_step");
  const std::vector<int64_t> quantize = c.integers("fake_quant_enabled_per_step");
  std::vector<Tensor> ys, gxs, scales, zeros, mins, maxs;
  for (int64_t t = 0; t < xs.size(0); ++t) {
    quantizer->enable_observer(observe.at(static_cast<size_t>(t)) != 0);
    quantizer->enable_fake_quant(quantize.at(static_cast<size_t>(t)) != 0);
    const Variable x(test::step_of(xs, t), true);
    const Variable y = autograd::dequantize((*quantizer)(x));
    y.backward(test::step_of(gys, t));
    ys.push_back(y.value());
    gxs.push_back(x.grad());
    // The fused modules write their scale down only when they quantize; ours always follows the
    // range, and both use the same one at the next step that quantizes.
    const bool stale = fused && !quantizer->fake_quant_enabled() && t > 0;
    scales.push_back(stale ? scales.back() : scales_of(quantizer->qparams()));
    zeros.push_back(stale ? zeros.back() : zero_points_of(quantizer->qparams()));
    mins.push_back(state_of(*quantizer, "min_val"));
    maxs.push_back(state_of(*quantizer, "max_val"));
  }
  c.expect_output("y_per_step", test::stack(ys));
  c.expect_gradient("x_per_step", test::stack(gxs));
  c.expect_output("scale_after_step", test::stack(scales));
  c.expect_output("zero_point_after_step", test::stack(zeros));
  c.expect_output("min_after_step", test::stack(mins));
  c.expect_output("max_after_step", test::stack(maxs));
}

void run_fixed(GoldenCase& c) {
  QuantizationSpec spec = spec_of_codes(static_cast<int32_t>(c.integer("quant_min", 0)),
                                        static_cast<int32_t>(c.integer("quant_max", 255)));
  // The two ranges that are always the same: [0, 1] and [-1, 1].
  const bool both = c.name().find("neg1") != std::string::npos;
  spec.observer = "fixed";
  spec.fixed_scale = (both ? 2.0F : 1.0F) / 256;
  spec.fixed_zero_point = both ? 128 : 0;
  const auto quantizer = make_quantizer(spec, 1);
  const Variable q = (*quantizer)(Variable(c.input("x")));
  const QParams& p = q.value().qparams();
  c.expect_output("scale", scales_of(p).reshape(c.output("scale").shape()));
  c.expect_output("zero_point", zero_points_of(p).reshape(c.output("zero_point").shape()));
  c.expect_output("q", q.value());
}

const std::map<std::string, GoldenRunner> kRunners = {
    {"observer", run_observer}, {"fixed_qparams", run_fixed}, {"fake_quantize_module", run_module}};
}  // namespace

TEST(ObserversGolden, EveryCaseOfTheGroupAgrees) {
  test::run_golden_group("observers", kRunners);
}

}  // namespace stair::qat
