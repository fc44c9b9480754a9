#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/dequantize.h"
#include "autograd/optimizer_step.h"
#include "tests/qat/golden_quantizer.h"
#include "tests/support/golden.h"
#include "tests/support/stack.h"

namespace stair::qat {
namespace {

using test::GoldenCase;

QuantizationSpec tqt(QuantizationSpec spec, const char* init = "") {
  spec.quantizer = "tqt";
  spec.init = init;
  return spec;
}

Variable log2_t_of(const Quantizer& quantizer) {
  return quantizer.named_parameters().at(0).variable;
}

TEST(Tqt, ScalesArePowersOfTwo) {
  for (const char* init : {"3sd", "kl_j", "max"}) {
    const auto quantizer = make_quantizer(tqt(weight_spec(4), init), 2);
    (void)(*quantizer)(Variable(Tensor::from<float>({0.3F, -1.7F, 0.01F, 0.03F}, {2, 2})));
    for (float scale : quantizer->qparams().scale) {
      int exponent = 0;
      EXPECT_EQ(std::frexp(scale, &exponent), 0.5F) << init << ' ' << scale;
    }
  }
}

TEST(Tqt, TheThresholdIsRoundedUpToAPowerOfTwo) {
  const auto quantizer = make_quantizer(tqt(weight_spec(8), "max"), 1);
  (void)(*quantizer)(Variable(Tensor::from<float>({0.3F, -1.7F}, {1, 2})));
  EXPECT_FLOAT_EQ(log2_t_of(*quantizer).value().item<float>(), std::log2(1.7F));
  EXPECT_EQ(quantizer->qparams().scale[0], 2.0F / 128);
  const auto relu = make_quantizer(tqt(activation_spec(8), "max"), 1, Activation::relu);
  (void)(*relu)(Variable(Tensor::from<float>({0.3F, -9, 1.7F}, {1, 3})));
  EXPECT_EQ(relu->qparams().scale[0], 2.0F / 256);
}

// The defect of a peer: a threshold without gradient does not move.
TEST(TqtGrad, ClippedValuesPullTheThresholdUp) {
  const auto quantizer = make_quantizer(tqt(weight_spec(4), "max"), 1);
  Variable x(Tensor::from<float>({0.1F, 0.9F}, {1, 2}), true);
  (void)(*quantizer)(x);
  Variable wide(Tensor::from<float>({4, -4}, {1, 2}), true);
  (*quantizer)(wide).backward(Tensor::from<float>({1, 0}, {1, 2}));
  const float scale = quantizer->qparams().scale[0];
  EXPECT_FLOAT_EQ(log2_t_of(*quantizer).grad().item<float>(),
                  7 * scale * std::log(2.0F) / std::sqrt(2 * 7.0F));
  EXPECT_EQ(wide.grad().data<float>()[0], 0);
}

std::shared_ptr<Quantizer> quantizer_of(const GoldenCase& c, const char* init = "") {
  const int32_t half = 1 << (c.integer("bits", 8) - 1);
  const bool is_signed = c.flag("signed", true);
  QuantizationSpec spec = spec_of_codes(
      static_cast<int32_t>(c.integer("quant_min", is_signed ? -half : 0)),
      static_cast<int32_t>(c.integer("quant_max", is_signed ? half - 1 : 2 * half - 1)));
  spec.bits = static_cast<int>(c.integer("bits", 8));
  return make_quantizer(tqt(spec, init), 1);
}

// Quantizes one row, with the gradient scale of the reference, which is 1.
void compare(GoldenCase& c, Quantizer& quantizer, const char* parameter) {
  const Tensor x = c.input("x"), gy = c.input("gy");
  const Variable row(x.reshape({1, x.numel()}), true);
  const Variable y = autograd::dequantize(quantizer(row));
  c.expect_output("y", y.value().reshape(x.shape()));
  if (c.has_output("scale"))
    c.expect_output("scale", scales_of(quantizer.qparams()).reshape(c.output("scale").shape()));
  y.backward(gy.reshape({1, x.numel()}));
  c.expect_gradient("x", row.grad().reshape(x.shape()));
  const double own = 1 / std::sqrt(static_cast<double>(x.numel()) * quantizer.spec().qmax);
  Tensor gradient = log2_t_of(quantizer).grad().clone();
  gradient.data<float>()[0] = static_cast<float>(gradient.data<float>()[0] / own);
  c.expect_gradient(parameter, gradient.reshape(c.gradient(parameter).shape()));
}

// Latches the initialisation, then sets the threshold.
void set_log2_t(Quantizer& quantizer, float value) {
  (void)quantizer(Variable(Tensor::from<float>({1}, {1, 1})));
  log2_t_of(quantizer).value().data<float>()[0] = value;
}

void run_tqt(GoldenCase& c) {
  const bool starts = !c.has_input("log2_t");
  const auto quantizer =
      quantizer_of(c, c.name().find("kl_j") != std::string::npos ? "kl_j" : "3sd");
  if (starts) {
    (void)(*quantizer)(Variable(c.input("x").reshape({1, c.input("x").numel()})));
    c.expect_output("log2_t", log2_t_of(*quantizer).value().reshape(c.output("log2_t").shape()));
  } else {
    set_log2_t(*quantizer, c.input("log2_t").data<float>()[0]);
  }
  compare(c, *quantizer, "log2_t");
}

// Thresholds of Brevitas; those that are no powers of two are another rule.
void run_learned_threshold(GoldenCase& c) {
  if (c.attrs().at("restrict").as_string() != "power_of_two") return c.leave_rest();
  const auto quantizer = quantizer_of(c);
  set_log2_t(*quantizer, c.input("p").data<float>()[0]);
  compare(c, *quantizer, "p");
}

void run_trajectory(GoldenCase& c) {
  const auto quantizer = quantizer_of(c);
  set_log2_t(*quantizer, static_cast<float>(c.number("log2_t0", 0)));
  autograd::AdamOptions adam;
  ASSERT_EQ(std::sscanf(c.attrs().at("optimizer").as_string().c_str(), "Adam lr %lf", &adam.lr), 1);
  const Tensor x = c.input("x");
  const int64_t n = x.numel();
  const Variable log2_t = log2_t_of(*quantizer);
  Tensor m = Tensor::zeros({1}, DType::f32), v = Tensor::zeros({1}, DType::f32);
  std::vector<Tensor> losses, thresholds;
  for (int64_t t = 1; t <= c.integer("steps", 0); ++t) {
    const Variable y = autograd::dequantize((*quantizer)(Variable(x.reshape({1, n}))));
    Tensor gy = Tensor::empty({1, n}, DType::f32);
    double loss = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double error = y.value().data<float>()[i] - x.data<float>()[i];
      loss += error * error / static_cast<double>(n);
      gy.data<float>()[i] = static_cast<float>(2 * error / static_cast<double>(n));
    }
    y.backward(gy);
    // Adam does not mind the scale of gradients; the reference has none.
    Tensor gradient = log2_t.grad().clone();
    gradient.data<float>()[0] *=
        std::sqrt(static_cast<float>(n) * static_cast<float>(quantizer->spec().qmax));
    autograd::adam_step(log2_t.value(), gradient, m, v, t, adam);
    Variable(log2_t).zero_grad();
    losses.push_back(Tensor::full<float>(Shape{}, static_cast<float>(loss)));
    thresholds.push_back(log2_t.value().clone());
  }
  c.expect_output("loss_per_step", test::stack(losses));
  c.expect_output("log2_t_after_step", test::stack(thresholds));
}

}  // namespace

TEST(TqtGolden, CasesAgree) {
  test::run_golden_ops("lsq_tqt", {{"tqt", run_tqt},
                                   {"tqt_trajectory", run_trajectory},
                                   {"learned_threshold", run_learned_threshold}});
}

}  // namespace stair::qat
