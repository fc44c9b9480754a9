// Integer kernels against ONNX Runtime's quantized operators.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "autograd/ops/concat.h"
#include "autograd/ops/max_pool2d.h"
#include "kernels/conv_int8/conv_int8.h"
#include "kernels/qelementwise/qelementwise.h"
#include "kernels/quantize/quantize.h"
#include "kernels/reduce/reduce.h"
#include "tests/support/golden.h"

namespace stair {
namespace {

using kernels::ConvInt8;
using kernels::ConvShape;
using kernels::Requant;
using test::GoldenCase;
using test::GoldenRunner;

// A scale or zero point of attrs.
float scale_of(const GoldenCase& c, const char* key) {
  return static_cast<float>(c.attrs().at(key).as_double());
}
int32_t zero_of(const GoldenCase& c, const char* key) {
  return static_cast<int32_t>(c.attrs().at(key).as_int());
}

// Codes of element type `dtype`: q = clamp(rne(y * inv_scale) + zero_point).
Requant requant(DType dtype, float inv_scale, int32_t zero_point, bool relu = false) {
  Requant r{inv_scale, zero_point, 0, 255, dtype == DType::s8};
  if (r.is_signed) r.lo = -128, r.hi = 127;
  if (relu) r.lo = std::max(r.lo, zero_point);
  return r;
}

// Per-channel values; one value stands for all channels.
std::vector<float> channels(const Tensor& t, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = t.data<float>()[t.numel() == 1 ? 0 : i];
  return values;
}

// A weighted layer in our layout: x [N,H,W,C], w [O,KH,KW,I].
struct Layer {
  Tensor x, w;
  ConvShape shape;
  int32_t x_zero_point = 0;
  std::vector<int32_t> w_zero_point, bias;

  ConvInt8::Args args(const Tensor& y) const {
    ConvInt8::Args a{.s = shape, .x = x.raw(), .w = w.data<int8_t>(), .y = y.raw()};
    a.x_signed = x.dtype() == DType::s8;
    a.x_zero_point = x_zero_point;
    if (!w_zero_point.empty()) a.w_zero_point = w_zero_point.data();
    if (!bias.empty()) a.bias_s32 = bias.data();
    return a;
  }
  Tensor accumulators(const Shape& y_shape) const {
    Tensor y = Tensor::empty(y_shape, DType::s32);
    ConvInt8::Args a = args(y);
    a.output = kernels::ConvOutput::acc;
    kernels::conv_int8(a);
    return y;
  }
  Tensor reals(const Shape& y_shape, const std::vector<float>& multiplier,
               const std::vector<float>& b) const {
    Tensor y = Tensor::empty(y_shape, DType::f32);
    ConvInt8::Args a = args(y);
    a.output = kernels::ConvOutput::real;
    a.multiplier = multiplier.data();
    a.bias = b.data();
    kernels::conv_int8(a);
    return y;
  }
  Tensor codes(const Shape& y_shape, DType dtype, const std::vector<float>& multiplier,
               const Requant& r) const {
    Tensor y = Tensor::empty(y_shape, dtype);
    ConvInt8::Args a = args(y);
    a.output = kernels::ConvOutput::code;
    a.multiplier = multiplier.data();
    a.requant = r;
    kernels::conv_int8(a);
    return y;
  }
};

std::vector<int32_t> integers(const GoldenCase& c, const char* role) {
  if (!c.has_input(role)) return {};
  const Tensor t = c.input(role);
  std::vector<int32_t> values(static_cast<size_t>(t.numel()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = t.dtype() == DType::s32 ? t.data<int32_t>()[i] : t.data<int8_t>()[i];
  return values;
}

std::vector<int64_t> attr_or(const GoldenCase& c, const char* key, std::vector<int64_t> otherwise) {
  return c.attrs().find(key) != nullptr ? c.integers(key) : otherwise;
}

Layer conv_layer(const GoldenCase& c) {
  Layer l{test::channels_last(c.input("x")), test::channels_last(c.input("w")), {}, 0, {}, {}};
  const auto pads =
      c.integers(c.attrs().find("pads") != nullptr ? "pads" : "pads_top_left_bottom_right");
  const auto stride = attr_or(c, "stride", {1, 1}), dilation = attr_or(c, "dilation", {1, 1});
  l.shape = {.n = l.x.size(0),
             .h = l.x.size(1),
             .w = l.x.size(2),
             .c = l.x.size(3),
             .o = l.w.size(0),
             .kh = l.w.size(1),
             .kw = l.w.size(2),
             .stride_h = stride[0],
             .stride_w = stride[1],
             .pad_top = pads[0],
             .pad_left = pads[1],
             .pad_bottom = pads[2],
             .pad_right = pads[3],
             .dilation_h = dilation[0],
             .dilation_w = dilation[1],
             .groups = c.integer("group", 1)};
  l.x_zero_point = static_cast<int32_t>(c.integer("x_zero_point", 0));
  l.w_zero_point = integers(c, "w_zero_point");
  l.w_zero_point.resize(c.has_input("w_zero_point") ? static_cast<size_t>(l.shape.o) : 0,
                        l.w_zero_point.empty() ? 0 : l.w_zero_point[0]);
  l.bias = integers(c, "bias_int32");
  return l;
}

// Rows times a matrix; w is [K,O] in the file when `k_first`, else [O,K].
Layer matmul_layer(const GoldenCase& c, bool k_first) {
  const Tensor w = k_first ? test::move_axis(c.input("w"), 0, 1) : c.input("w");
  Layer l{c.input("x"), w, {}, 0, {}, {}};
  l.shape = {.n = l.x.size(0), .c = l.x.size(1), .o = w.size(0)};
  l.x_zero_point = static_cast<int32_t>(c.integer("x_zero_point", 0));
  l.bias = integers(c, "bias_int32");
  return l;
}

Shape conv_y(const ConvShape& s) {
  return {s.n, s.oh(), s.ow(), s.o};
}

// y = clamp(rne(float(acc) * (x_scale * w_scale / y_scale)) + y_zero_point)
void check_requantized(GoldenCase& c, const Layer& l, const Shape& y_shape) {
  const DType dtype = c.output("y").dtype();
  std::vector<float> multiplier = channels(c.input("w_scale"), l.shape.o);
  for (float& m : multiplier) m = scale_of(c, "x_scale") * m / scale_of(c, "y_scale");
  const Requant r =
      requant(dtype, 1, zero_of(c, "y_zero_point"), c.flag("fused_relu_by_clamp", false));
  c.expect_output("y", test::channels_first(l.codes(y_shape, dtype, multiplier, r)));
  if (c.has_output("acc_int32"))
    c.expect_output("acc_int32", test::channels_first(l.accumulators(y_shape)));
}

// The same layer as a QDQ graph has it: rescaled to real numbers, then divided by y_scale.
void check_qdq(GoldenCase& c, const Layer& l, const Shape& y_shape) {
  const DType dtype = c.output("y").dtype();
  std::vector<float> multiplier = channels(c.input("w_scale"), l.shape.o);
  for (float& m : multiplier) m *= scale_of(c, "x_scale");
  const Requant r =
      requant(dtype, 1 / scale_of(c, "y_scale"), zero_of(c, "y_zero_point"), c.flag("relu", false));
  c.expect_output("y", test::channels_first(l.codes(y_shape, dtype, multiplier, r)));
}

void run_conv(GoldenCase& c) {
  const Layer l = conv_layer(c);
  check_requantized(c, l, conv_y(l.shape));
}
void run_matmul(GoldenCase& c) {
  const Layer l = matmul_layer(c, true);
  check_requantized(c, l, {l.shape.n, l.shape.o});
}
void run_conv_integer(GoldenCase& c) {
  Layer l = conv_layer(c);
  l.w_zero_point.assign(static_cast<size_t>(l.shape.o),
                        static_cast<int32_t>(c.integer("w_zero_point", 0)));
  c.expect_output("y", test::channels_first(l.accumulators(conv_y(l.shape))));
}
void run_qdq_conv(GoldenCase& c) {
  const Layer l = conv_layer(c);
  check_qdq(c, l, conv_y(l.shape));
}
void run_qdq_gemm(GoldenCase& c) {
  const Layer l = matmul_layer(c, false);
  check_qdq(c, l, {l.shape.n, l.shape.o});
}

kernels::CodeInput code_input(const GoldenCase& c, const Tensor& q, const std::string& role) {
  return {q.raw(), q.dtype() == DType::s8, scale_of(c, (role + "_scale").c_str()),
          zero_of(c, (role + "_zero_point").c_str())};
}

Requant result_grid(const GoldenCase& c) {
  return requant(c.output("y").dtype(), 1 / scale_of(c, "y_scale"), zero_of(c, "y_zero_point"));
}

template <class Op>
void run_binary(GoldenCase& c) {
  const Tensor a = c.input("a"), b = c.input("b");
  Tensor y = Tensor::empty(a.shape(), c.output("y").dtype());
  kernels::run<Op>(
      {a.numel(), code_input(c, a, "a"), code_input(c, b, "b"), result_grid(c), y.raw()});
  c.expect_output("y", y);
}

// Each input moves to the grid of the result; then concat joins codes of one grid.
void run_concat(GoldenCase& c) {
  const Json& scales = c.attrs().at("x_scales");
  const Json& zeros = c.attrs().at("x_zero_points");
  const DType dtype = c.output("y").dtype();
  const bool is_signed = dtype == DType::s8;
  std::vector<autograd::Variable> parts;
  for (size_t i = 0; i < scales.size(); ++i) {
    const Tensor x = c.input(str("x", i));
    const kernels::CodeInput in{x.raw(), x.dtype() == DType::s8,
                                static_cast<float>(scales.at(i).as_double()),
                                static_cast<int32_t>(zeros.at(i).as_int())};
    Tensor y = Tensor::empty(x.shape(), dtype);
    kernels::run<kernels::RequantizeInt8>({x.numel(), in, result_grid(c), y.raw()});
    parts.emplace_back(y.with_qparams({{scale_of(c, "y_scale")},
                                       {zero_of(c, "y_zero_point")},
                                       -1,
                                       is_signed ? -128 : 0,
                                       is_signed ? 127 : 255}));
  }
  const autograd::Variable y = autograd::concat(parts, static_cast<int>(c.integer("axis", 1)));
  EXPECT_TRUE(y.quantized());
  c.expect_output("y", y.value());
}

void run_max_pool(GoldenCase& c) {
  const auto kernel = c.integers("kernel"), stride = c.integers("stride"),
             padding = c.integers("padding");
  const autograd::Variable x(
      test::channels_last(c.input("x")).with_qparams({{1}, {0}, -1, 0, 255}));
  const autograd::Pool2dOptions p{.kernel = {kernel[0], kernel[1]},
                                  .stride = {stride[0], stride[1]},
                                  .padding = {padding[0], padding[1], padding[0], padding[1]}};
  c.expect_output("y", test::channels_first(autograd::max_pool2d(x, p).value()));
}

void check_average(GoldenCase& c, const Tensor& x, const kernels::PoolShape& s) {
  Tensor y = Tensor::empty({s.n, s.oh(), s.ow(), s.c}, c.output("y").dtype());
  kernels::run<kernels::AvgPoolInt8>({s, code_input(c, x, "x"), result_grid(c), y.raw()});
  c.expect_output("y", test::channels_first(y));
}

void run_avg_pool(GoldenCase& c) {
  const Tensor x = test::channels_last(c.input("x"));
  const auto kernel = c.integers("kernel"), stride = c.integers("stride"),
             padding = c.integers("padding");
  check_average(c, x,
                {.n = x.size(0),
                 .h = x.size(1),
                 .w = x.size(2),
                 .c = x.size(3),
                 .kh = kernel[0],
                 .kw = kernel[1],
                 .stride_h = stride[0],
                 .stride_w = stride[1],
                 .pad_top = padding[0],
                 .pad_left = padding[1],
                 .pad_bottom = padding[0],
                 .pad_right = padding[1],
                 .count_include_pad = c.flag("count_include_pad", true)});
}

void run_global_avg_pool(GoldenCase& c) {
  const Tensor x = test::channels_last(c.input("x"));
  check_average(c, x,
                {.n = x.size(0),
                 .h = x.size(1),
                 .w = x.size(2),
                 .c = x.size(3),
                 .kh = x.size(1),
                 .kw = x.size(2)});
}

Tensor quantized(const Tensor& x, float scale, int32_t zero_point, DType dtype) {
  Tensor q = Tensor::empty(x.shape(), dtype);
  const Requant range = requant(dtype, 1, 0);
  kernels::run<kernels::Quantize<float>>({{1, 1, x.numel()},
                                          x.data<float>(),
                                          &scale,
                                          &zero_point,
                                          range.lo,
                                          range.hi,
                                          false,
                                          dtype,
                                          q.raw(),
                                          nullptr});
  return q;
}

void run_quantize_linear(GoldenCase& c) {
  const Tensor x = c.input("x");
  const float scale = scale_of(c, "scale");
  const int32_t zero = zero_of(c, "zero_point");
  const Tensor q = quantized(x, scale, zero, c.output("q").dtype());
  Tensor y = Tensor::empty(x.shape(), DType::f32);
  kernels::run<kernels::Dequantize<float>>(
      {{1, 1, x.numel()}, q.dtype(), q.raw(), &scale, &zero, y.data<float>()});
  c.expect_output("q", q);
  c.expect_output("dequantized", y);
}

// ONNX's DynamicQuantizeLinear: the range of x, widened to contain 0, onto u8.
struct Grid {
  float scale;
  int32_t zero_point;
};
Grid dynamic_grid(const Tensor& x) {
  float low = 0, high = 0;
  int64_t non_finite = 0;
  kernels::run<kernels::MinMax<float>>(
      {{1, 1, x.numel()}, x.data<float>(), &low, &high, &non_finite});
  low = std::min(low, 0.0F), high = std::max(high, 0.0F);
  const float scale = (high - low) / 255.0F;
  return {scale, static_cast<int32_t>(std::clamp(std::nearbyint(0 - low / scale), 0.0F, 255.0F))};
}

void run_dynamic_quantize(GoldenCase& c) {
  const Tensor x = c.input("x");
  const Grid grid = dynamic_grid(x);
  c.expect_output("scale", Tensor::full<float>(c.output("scale").shape(), grid.scale));
  c.expect_output("zero_point",
                  Tensor::full<int32_t>(c.output("zero_point").shape(), grid.zero_point));
  c.expect_output("q", quantized(x, grid.scale, grid.zero_point, DType::u8));
}

void run_dynamic_linear(GoldenCase& c) {
  const Grid grid = dynamic_grid(c.input("x"));
  Layer l = matmul_layer(c, true);
  l.x = quantized(l.x, grid.scale, grid.zero_point, DType::u8);
  l.x_zero_point = grid.zero_point;
  std::vector<float> multiplier = channels(c.input("w_scale"), l.shape.o);
  for (float& m : multiplier) m *= grid.scale;
  c.expect_output(
      "y", l.reals({l.shape.n, l.shape.o}, multiplier, channels(c.input("bias"), l.shape.o)));
}

const std::map<std::string, GoldenRunner> kRunners = {
    {"qlinear_conv", run_conv},
    {"qlinear_matmul", run_matmul},
    {"qgemm", run_matmul},
    {"qlinear_add", run_binary<kernels::AddInt8>},
    {"qlinear_mul", run_binary<kernels::MulInt8>},
    {"qlinear_concat", run_concat},
    {"max_pool2d_int", run_max_pool},
    {"qlinear_avg_pool", run_avg_pool},
    {"qlinear_global_avg_pool", run_global_avg_pool},
    {"quantize_linear", run_quantize_linear},
    {"dynamic_quantize_linear", run_dynamic_quantize},
    {"dynamic_linear", run_dynamic_linear},
    {"conv_integer", run_conv_integer},
    {"qdq_conv", run_qdq_conv},
    {"qdq_gemm", run_qdq_gemm},
};

}  // namespace

TEST(Int8OpsGolden, EveryCaseOfTheGroupAgrees) {
  test::run_golden_group("int8_ops", kRunners);
}

}  // namespace stair
