// Float operations and their gradients against PyTorch.
#include <gtest/gtest.h>

#include <limits>

#include "autograd/ops/add.h"
#include "autograd/ops/avg_pool2d.h"
#include "autograd/ops/batch_norm.h"
#include "autograd/ops/clamp.h"
#include "autograd/ops/concat.h"
#include "autograd/ops/conv2d.h"
#include "autograd/ops/cross_entropy.h"
#include "autograd/ops/div.h"
#include "autograd/ops/dropout.h"
#include "autograd/ops/gelu.h"
#include "autograd/ops/global_avg_pool.h"
#include "autograd/ops/hardsigmoid.h"
#include "autograd/ops/hardswish.h"
#include "autograd/ops/leaky_relu.h"
#include "autograd/ops/linear.h"
#include "autograd/ops/log_softmax.h"
#include "autograd/ops/max_pool2d.h"
#include "autograd/ops/mse_loss.h"
#include "autograd/ops/mul.h"
#include "autograd/ops/relu.h"
#include "autograd/ops/relu6.h"
#include "autograd/ops/sigmoid.h"
#include "autograd/ops/silu.h"
#include "autograd/ops/softmax.h"
#include "autograd/ops/sub.h"
#include "autograd/ops/sum.h"
#include "autograd/ops/tanh.h"
#include "tests/support/golden.h"

namespace stair::autograd {
namespace {

using test::GoldenCase;
using test::GoldenRunner;

// From the layout of the file to ours, and back.
struct Layout {
  Tensor (*in)(const Tensor&);
  Tensor (*out)(const Tensor&);
};
Tensor as_is(const Tensor& t) {
  return t;
}
constexpr Layout kAsIs{as_is, as_is}, kChannels{test::channels_last, test::channels_first};

// The inputs of a case as variables in our layout; those with a golden gradient are leaves.
class Inputs {
 public:
  Inputs(GoldenCase& c, Layout layout) : case_(c), layout_(layout) {}

  // The input, undefined when the case has none.
  Variable get(const std::string& role) {
    if (!case_.has_input(role)) return {};
    // Operations may write to running statistics, and the file's tensors are shared.
    return variables_[role] =
               Variable(layout_.in(case_.input(role)).clone(), case_.has_gradient(role));
  }
  // Compares y, then the gradients for gy.
  void check(const Variable& y) {
    case_.expect_output("y", layout_.out(y.value()));
    if (case_.gradients().empty()) return;
    y.backward(layout_.in(case_.input("gy")).clone());
    for (const std::string& role : case_.gradients())
      case_.expect_gradient(role, layout_.out(variables_.at(role).grad()));
  }

 private:
  GoldenCase& case_;
  Layout layout_;
  std::map<std::string, Variable> variables_;
};

GoldenRunner unary(Variable (*f)(const Variable&)) {
  return [f](GoldenCase& c) {
    Inputs in(c, kAsIs);
    in.check(f(in.get("x")));
  };
}

GoldenRunner binary(Variable (*f)(const Variable&, const Variable&)) {
  return [f](GoldenCase& c) {
    Inputs in(c, kAsIs);
    const Variable a = in.get("a"), b = in.get("b");
    in.check(f(a, b));
  };
}

void run_leaky_relu(GoldenCase& c) {
  Inputs in(c, kAsIs);
  in.check(leaky_relu(in.get("x"), c.number("negative_slope", 0.01)));
}

void run_clamp(GoldenCase& c) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Inputs in(c, kAsIs);
  in.check(clamp(in.get("x"), c.number("min", -kInfinity), c.number("max", kInfinity)));
}

Conv2dOptions conv_options(const GoldenCase& c, const Shape& w) {
  Conv2dOptions p;
  const auto stride = c.integers("stride"), dilation = c.integers("dilation");
  p.stride = {stride[0], stride[1]};
  p.dilation = {dilation[0], dilation[1]};
  p.groups = c.integer("groups", 1);
  if (c.attrs().at("padding").is_string()) {  // "same": an odd rest goes to the end
    const int64_t down = p.dilation[0] * (w[1] - 1), right = p.dilation[1] * (w[2] - 1);
    p.padding = {down / 2, right / 2, down - down / 2, right - right / 2};
  } else {
    const auto padding = c.integers("padding");
    p.padding = {padding[0], padding[1], padding[0], padding[1]};
  }
  if (c.attrs().find("pad_left_right_top_bottom") != nullptr) {
    const auto extra = c.integers("pad_left_right_top_bottom");
    p.padding[0] += extra[2], p.padding[1] += extra[0];
    p.padding[2] += extra[3], p.padding[3] += extra[1];
  }
  return p;
}

void run_conv2d(GoldenCase& c) {
  Inputs in(c, kChannels);
  const Variable x = in.get("x"), w = in.get("w"), b = in.get("b");
  in.check(conv2d(x, w, b, conv_options(c, w.shape())));
}

void run_linear(GoldenCase& c) {
  Inputs in(c, kAsIs);
  const Variable x = in.get("x"), w = in.get("w"), b = in.get("b");
  in.check(linear(x, w, b));
}

void run_batch_norm(GoldenCase& c) {
  Inputs in(c, kChannels);
  const Variable x = in.get("x"), gamma = in.get("gamma"), beta = in.get("beta");
  const Variable mean = in.get("running_mean"), var = in.get("running_var");
  in.check(batch_norm(x, gamma, beta, mean, var,
                      {.training = c.flag("training", true),
                       .momentum = c.number("momentum", 0.1),
                       .eps = c.number("eps", 1e-5)}));
  c.expect_output("running_mean_after", mean.value());
  c.expect_output("running_var_after", var.value());
}

// Step t of a stacked tensor.
Tensor step(const Tensor& stacked, int64_t t) {
  std::vector<int64_t> dims = stacked.shape().dims();
  dims.erase(dims.begin());
  return stacked.slice(t, t + 1).reshape(Shape(dims));
}

void run_batch_norm_sequence(GoldenCase& c) {
  const Tensor xs = c.input("x_per_step");
  const int64_t steps = xs.size(0), channels = xs.size(2);
  const Variable mean(Tensor::zeros({channels}, DType::f32));
  const Variable var(Tensor::full<float>({channels}, 1));
  Tensor means = Tensor::empty({steps, channels}, DType::f32), vars = means.clone();
  const double eps = c.number("eps", 1e-5);
  for (int64_t t = 0; t < steps; ++t) {
    // Without momentum the statistics are the mean over all steps so far.
    const double momentum = c.number("momentum", 1 / static_cast<double>(t + 1));
    batch_norm(Variable(test::channels_last(step(xs, t))), Variable(), Variable(), mean, var,
               {.training = true, .momentum = momentum, .eps = eps});
    means.slice(t, t + 1).copy_from(mean.value().reshape({1, channels}));
    vars.slice(t, t + 1).copy_from(var.value().reshape({1, channels}));
  }
  const Variable y = batch_norm(Variable(test::channels_last(step(xs, 0))), Variable(), Variable(),
                                mean, var, {.training = false, .eps = eps});
  c.expect_output("running_mean_per_step", means);
  c.expect_output("running_var_per_step", vars);
  c.expect_output("y_eval_of_x0", test::channels_first(y.value()));
}

GoldenRunner pool(Variable (*f)(const Variable&, const Pool2dOptions&)) {
  return [f](GoldenCase& c) {
    const auto kernel = c.integers("kernel"), stride = c.integers("stride");
    const auto padding = c.integers("padding");
    Inputs in(c, kChannels);
    in.check(f(in.get("x"), {.kernel = {kernel[0], kernel[1]},
                             .stride = {stride[0], stride[1]},
                             .padding = {padding[0], padding[1], padding[0], padding[1]},
                             .count_include_pad = c.flag("count_include_pad", true)}));
  };
}

void run_adaptive_avg_pool(GoldenCase& c) {
  ASSERT_EQ(c.integers("output"), (std::vector<int64_t>{1, 1}));
  Inputs in(c, kChannels);
  in.check(global_avg_pool(in.get("x")));
}

void run_concat(GoldenCase& c) {
  Inputs in(c, kAsIs);
  std::vector<Variable> xs;
  while (c.has_input(str("x", xs.size()))) xs.push_back(in.get(str("x", xs.size())));
  in.check(concat(xs, static_cast<int>(c.integer("dim", 0))));
}

// Ours works on the last dimension, the case on `dim`.
GoldenRunner rows(Variable (*f)(const Variable&)) {
  return [f](GoldenCase& c) {
    const Variable x(c.input("x"), true);
    const int last = x.shape().rank() - 1;
    const int dim = static_cast<int>(c.integer("dim", -1)) % (last + 1);
    const int axis = dim < 0 ? dim + last + 1 : dim;
    const Variable moved(test::move_axis(x.value(), axis, last), true);
    const Variable y = f(moved);
    c.expect_output("y", test::move_axis(y.value(), last, axis));
    y.backward(test::move_axis(c.input("gy"), axis, last));
    c.expect_gradient("x", test::move_axis(moved.grad(), last, axis));
  };
}

Reduction reduction_of(const GoldenCase& c) {
  const Json* name = c.attrs().find("reduction");
  if (name == nullptr || name->as_string() == "mean") return Reduction::mean;
  return name->as_string() == "sum" ? Reduction::sum : Reduction::none;
}

void run_cross_entropy(GoldenCase& c) {
  Inputs in(c, kAsIs);
  in.check(cross_entropy(in.get("x"), c.input("target"),
                         {.label_smoothing = c.number("label_smoothing", 0),
                          .ignore_index = c.integer("ignore_index", -100),
                          .reduction = reduction_of(c)}));
}

void run_mse_loss(GoldenCase& c) {
  Inputs in(c, kAsIs);
  const Variable x = in.get("x"), t = in.get("t");
  if (reduction_of(c) == Reduction::mean) return in.check(mse_loss(x, t));
  const Variable difference = sub(x, t), squares = mul(difference, difference);
  in.check(reduction_of(c) == Reduction::sum ? sum(squares) : squares);
}

void run_dropout(GoldenCase& c) {
  Inputs in(c, kAsIs);
  in.check(dropout(in.get("x"), c.number("p", 0.5), c.flag("training", false)));
}

const std::map<std::string, GoldenRunner> kRunners = {
    {"conv2d", run_conv2d},
    {"linear", run_linear},
    {"batch_norm", run_batch_norm},
    {"batch_norm_sequence", run_batch_norm_sequence},
    {"relu", unary(relu)},
    {"relu6", unary(relu6)},
    {"hardswish", unary(hardswish)},
    {"hardsigmoid", unary(hardsigmoid)},
    {"sigmoid", unary(sigmoid)},
    {"tanh", unary(stair::autograd::tanh)},
    {"silu", unary(silu)},
    {"gelu", unary(gelu)},
    {"leaky_relu", run_leaky_relu},
    {"clamp", run_clamp},
    {"max_pool2d", pool(max_pool2d)},
    {"avg_pool2d", pool(avg_pool2d)},
    {"adaptive_avg_pool2d", run_adaptive_avg_pool},
    {"add", binary(add)},
    {"sub", binary(sub)},
    {"mul", binary(mul)},
    {"div", binary(stair::autograd::div)},
    {"concat", run_concat},
    {"softmax", rows(softmax)},
    {"log_softmax", rows(log_softmax)},
    {"cross_entropy", run_cross_entropy},
    {"mse_loss", run_mse_loss},
    {"dropout", run_dropout},
};

}  // namespace

TEST(OpsGolden, EveryCaseOfTheGroupAgrees) {
  // tests/nn runs the optimizers and the schedules.
  test::run_golden_group("ops", kRunners, {"optimizer", "lr_schedule"});
}

}  // namespace stair::autograd
