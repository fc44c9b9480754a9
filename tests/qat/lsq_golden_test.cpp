// LSQ against an implementation of the paper's formulas in PyTorch.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/dequantize.h"
#include "tests/qat/golden_descent.h"
#include "tests/qat/golden_quantizer.h"
#include "tests/support/golden.h"
#include "tests/support/stack.h"

namespace stair::qat {
namespace {

using test::GoldenCase;
using test::GoldenRunner;

QuantizationSpec spec_of(const GoldenCase& c) {
  QuantizationSpec spec = spec_of_codes(-static_cast<int32_t>(c.attrs().at("Qn").as_int()),
                                        static_cast<int32_t>(c.attrs().at("Qp").as_int()));
  spec.quantizer = "lsq";
  spec.axis = static_cast<int>(c.integer("axis", -1));
  spec.is_weight = spec.axis >= 0;
  return spec;
}

Tensor magnitudes(const Tensor& t) {
  Tensor y = t.clone();
  for (int64_t i = 0; i < y.numel(); ++i) y.data<float>()[i] = std::abs(y.data<float>()[i]);
  return y;
}

// LSQ with the scales of a case. Its gradient scale is that of one tensor of N elements, so the
// case's x is given as one sample: [1, N] per tensor, as it is per channel.
class LsqOfCase {
 public:
  LsqOfCase(const GoldenCase& c, const Tensor& scale, const Tensor& example)
      : quantizer_(make_quantizer(spec_of(c), scale.numel())) {
    // Latches the initialisation. It reads magnitudes alone, and of unsigned codes the reference
    // keeps zero at the lowest one whatever the signs.
    (void)(*quantizer_)(Variable(magnitudes(rows(example))));
    initial_ = scale_variable().value().clone();
    Tensor value = scale_variable().value();
    value.copy_from(scale.reshape(initial_.shape()));
  }

  Variable operator()(const Variable& x) const { return autograd::dequantize((*quantizer_)(x)); }
  Tensor rows(const Tensor& x) const {
    return quantizer_->spec().axis >= 0 ? x : x.reshape({1, x.numel()});
  }
  Variable scale_variable() const { return quantizer_->named_parameters().at(0).variable; }
  const Tensor& initial() const { return initial_; }
  // 1 / sqrt(N * Qp), which the quantizer puts on the gradient of the scale.
  double gradient_scale(const Tensor& x) const {
    const double n = static_cast<double>(x.numel() / scale_variable().value().numel());
    return 1 / std::sqrt(n * quantizer_->spec().qmax);
  }

 private:
  std::shared_ptr<Quantizer> quantizer_;
  Tensor initial_;
};

Tensor times(const Tensor& t, double factor) {
  Tensor y = t.clone();
  for (int64_t i = 0; i < y.numel(); ++i)
    y.data<float>()[i] = static_cast<float>(y.data<float>()[i] * factor);
  return y;
}

void run_lsq(GoldenCase& c) {
  const Tensor x = c.input("x"), gy = c.input("gy");
  const LsqOfCase lsq(c, c.input("s"), x);
  const Variable rows(lsq.rows(x), true);
  const Variable y = lsq(rows);
  c.expect_output("y", y.value().reshape(x.shape()));
  if (c.has_output("init_s")) c.expect_output("init_s", lsq.initial());
  y.backward(lsq.rows(gy));
  c.expect_gradient("x", rows.grad().reshape(x.shape()));
  // Cases may ask for another gradient scale than the paper's.
  const double own = lsq.gradient_scale(x), wanted = c.number("grad_scale", own);
  c.expect_gradient("s", std::abs(wanted / own - 1) < 1e-6
                             ? lsq.scale_variable().grad()
                             : times(lsq.scale_variable().grad(), wanted / own));
}

void run_trajectory(GoldenCase& c) {
  const Tensor w0 = c.input("w0"), target = c.input("target");
  const LsqOfCase lsq(c, c.input("s0"), w0);
  const Variable w(lsq.rows(w0).clone(), true);
  ASSERT_NEAR(lsq.gradient_scale(w0), c.number("grad_scale", 0), 1e-6);
  GoldenDescent descent(c.attrs().at("optimizer").as_string());
  std::vector<Tensor> losses, ws, scales;
  for (int64_t t = 0; t < c.integer("steps", 0); ++t) {
    const Variable y = lsq(w);
    // mean((y - target)^2) and its gradient.
    Tensor gy = Tensor::empty(y.shape(), DType::f32);
    double loss = 0;
    const double n = static_cast<double>(gy.numel());
    for (int64_t i = 0; i < gy.numel(); ++i) {
      const double error = y.value().data<float>()[i] - target.data<float>()[i];
      loss += error * error / n;
      gy.data<float>()[i] = static_cast<float>(2 * error / n);
    }
    y.backward(gy);
    descent.step({w, lsq.scale_variable()});
    losses.push_back(Tensor::full<float>(Shape{}, static_cast<float>(loss)));
    ws.push_back(w.value().reshape(w0.shape()).clone());
    scales.push_back(lsq.scale_variable().value().clone());
  }
  c.expect_output("loss_per_step", test::stack(losses));
  c.expect_output("w_after_step", test::stack(ws));
  c.expect_output("s_after_step", test::stack(scales));
}

const std::map<std::string, GoldenRunner> kRunners = {{"lsq", run_lsq},
                                                      {"lsq_trajectory", run_trajectory}};
// The tests of other quantizers run these; LSQ's mask after rounding nobody: ours is the paper's.
const std::set<std::string> kElsewhere = {"lsq_rounded_mask",     "lsq_plus",
                                          "lsq_plus_weight_init", "tqt",
                                          "tqt_trajectory",       "pact",
                                          "learned_threshold",    "dorefa_weight",
                                          "dorefa_activation",    "dorefa_weight_binary"};

}  // namespace

TEST(LsqGolden, EveryCaseOfTheGroupAgrees) {
  test::run_golden_group("lsq_tqt", kRunners, kElsewhere);
}

}  // namespace stair::qat
