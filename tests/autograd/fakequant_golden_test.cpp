// Quantizers and their straight-through gradients against PyTorch.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "autograd/ops/dequantize.h"
#include "autograd/ops/fake_quantize.h"
#include "autograd/ops/learnable_fake_quantize.h"
#include "autograd/ops/quantize.h"
#include "tests/support/golden.h"

namespace stair::autograd {
namespace {

using test::GoldenCase;
using test::GoldenRunner;

int32_t integer_at(const Tensor& t, int64_t i) {
  if (t.dtype() == DType::s64) return static_cast<int32_t>(t.data<int64_t>()[i]);
  if (t.dtype() == DType::s32) return t.data<int32_t>()[i];
  if (t.dtype() == DType::s8) return t.data<int8_t>()[i];
  return t.data<uint8_t>()[i];
}

// Scale and zero point come as tensors, or as numbers in attrs.
QParams qparams_of(const GoldenCase& c) {
  QParams p;
  p.axis = static_cast<int>(c.integer("axis", -1));
  p.qmin = static_cast<int32_t>(c.attrs().at("quant_min").as_int());
  p.qmax = static_cast<int32_t>(c.attrs().at("quant_max").as_int());
  if (!c.has_input("scale")) {
    p.scale = {static_cast<float>(c.attrs().at("scale").as_double())};
    p.zero_point = {static_cast<int32_t>(c.attrs().at("zero_point").as_int())};
    return p;
  }
  const Tensor scale = c.input("scale"), zero = c.input("zero_point");
  for (int64_t i = 0; i < scale.numel(); ++i) {
    p.scale.push_back(scale.data<float>()[i]);
    p.zero_point.push_back(integer_at(zero, i));
  }
  return p;
}

void run_fake_quantize(GoldenCase& c) {
  const Variable x(c.input("x"), true);
  const Variable y = fake_quantize(x, qparams_of(c));
  c.expect_output("y", y.value());
  if (!c.has_gradient("x")) return;
  y.backward(c.input("gy"));
  c.expect_gradient("x", x.grad());
  // The integer path is the same function.
  const QParams p = qparams_of(c);
  const DType type = p.qmin < 0 ? DType::s8 : DType::u8;
  const Variable xq(c.input("x"), true);
  const Variable yq = dequantize(quantize(xq, p, type));
  c.expect_output("y", yq.value());
  yq.backward(c.input("gy"));
  c.expect_gradient("x", xq.grad());
}

void run_quantize(GoldenCase& c) {
  const Variable q = quantize(Variable(c.input("x")), qparams_of(c), c.output("q").dtype());
  c.expect_output("q", q.value());
  c.expect_output("dequantized", dequantize(q).value());
}

void run_learnable(GoldenCase& c) {
  const Variable x(c.input("x"), true), scale(c.input("scale").clone(), true);
  const Variable zero(c.input("zero_point").clone(), true);
  const Variable y =
      learnable_fake_quantize(x, scale, zero, static_cast<int32_t>(c.integer("quant_min", 0)),
                              static_cast<int32_t>(c.integer("quant_max", 255)),
                              static_cast<int>(c.integer("axis", -1)), c.number("grad_factor", 1));
  c.expect_output("y", y.value());
  y.backward(c.input("gy"));
  c.expect_gradient("x", x.grad());
  c.expect_gradient("scale", scale.grad());
  c.expect_gradient("zero_point", zero.grad());
}

// What torch.ao's _LearnableFakeQuantize module does round the operation, with SGD.
class LearnableModule {
 public:
  explicit LearnableModule(const GoldenCase& c)
      : axis_(static_cast<int>(c.integer("axis", -1))),
        qmin_(static_cast<int32_t>(c.integer("quant_min", 0))),
        qmax_(static_cast<int32_t>(c.integer("quant_max", 255))) {
    const int64_t channels = axis_ < 0 ? 1 : c.input("x_per_step").size(axis_ + 1);
    scale_ = Variable(
        Tensor::full<float>({channels}, static_cast<float>(c.number("init_scale", 1))), true);
    zero_ = Variable(
        Tensor::full<float>({channels}, static_cast<float>(c.number("init_zero_point", 0))), true);
    symmetric_ = c.number("init_zero_point", 0) == 0;
    scaled_ = c.flag("use_grad_scaling", false);
    if (std::sscanf(c.attrs().at("optimizer").as_string().c_str(), "SGD lr %f", &rate_) != 1)
      throw FormatError("golden: optimizer of " + c.name() + " is not 'SGD lr <rate> ...'");
  }

  Variable forward(const Variable& x) {
    const int64_t channels = scale_.value().numel();
    for (int64_t i = 0; i < channels; ++i) {
      float& scale = scale_.value().data<float>()[i];
      scale = std::max(scale, kMinScale);
      if (symmetric_) zero_.value().data<float>()[i] = 0;
    }
    // All elements count, also per channel: what the reference computes.
    const double elements = static_cast<double>(x.value().numel());
    const double factor = scaled_ ? 1 / std::sqrt(elements * qmax_) : 1;
    return learnable_fake_quantize(x, scale_, zero_, qmin_, qmax_, axis_, factor);
  }
  void update() {
    for (Variable* parameter : {&scale_, &zero_}) {
      for (int64_t i = 0; i < parameter->value().numel(); ++i)
        parameter->value().data<float>()[i] -= rate_ * parameter->grad().data<float>()[i];
      parameter->zero_grad();
    }
  }
  const Variable& scale() const { return scale_; }
  const Variable& zero() const { return zero_; }

 private:
  int axis_;
  int32_t qmin_, qmax_;
  Variable scale_, zero_;
  bool symmetric_ = false, scaled_ = false;
  float rate_ = 0;
};

void run_learnable_module(GoldenCase& c) {
  const Tensor xs = c.input("x_per_step"), gys = c.input("gy_per_step");
  Tensor ys = Tensor::empty(xs.shape(), DType::f32);
  Tensor scales = Tensor::empty(c.output("scale_after_step").shape(), DType::f32);
  Tensor zeros = scales.clone(), gscales = scales.clone();
  const auto store = [](Tensor& stack, int64_t t, const Tensor& value) {
    Tensor row = stack.slice(t, t + 1);
    row.copy_from(value.reshape(row.shape()));
  };
  LearnableModule module(c);
  for (int64_t t = 0; t < xs.size(0); ++t) {
    const Shape shape(std::vector<int64_t>(xs.shape().dims().begin() + 1, xs.shape().dims().end()));
    const Variable y = module.forward(Variable(xs.slice(t, t + 1).reshape(shape)));
    store(ys, t, y.value());
    y.backward(gys.slice(t, t + 1).reshape(shape));
    store(gscales, t, module.scale().grad());
    module.update();
    store(scales, t, module.scale().value());
    store(zeros, t, module.zero().value());
  }
  c.expect_output("y_per_step", ys);
  c.expect_output("scale_after_step", scales);
  c.expect_output("zero_point_after_step", zeros);
  c.expect_gradient("scale_per_step", gscales);
}

const std::map<std::string, GoldenRunner> kRunners = {
    {"fake_quantize_per_tensor", run_fake_quantize},
    {"fake_quantize_per_channel", run_fake_quantize},
    {"quantize_per_tensor", run_quantize},
    {"quantize_per_channel", run_quantize},
    {"learnable_fake_quantize_per_tensor", run_learnable},
    {"learnable_fake_quantize_per_channel", run_learnable},
    {"learnable_fake_quantize_module", run_learnable_module},
};

}  // namespace

TEST(FakequantGolden, EveryCaseOfTheGroupAgrees) {
  test::run_golden_group("fakequant", kRunners);
}

}  // namespace stair::autograd
