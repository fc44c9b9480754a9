// Convolution, batch norm and quantizers in training, and what ships, against PyTorch.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/dequantize.h"
#include "autograd/ops/quantize.h"
#include "autograd/ops/relu.h"
#include "qat/conv_bn.h"
#include "tests/qat/golden_descent.h"
#include "tests/qat/golden_quantizer.h"
#include "tests/support/golden.h"
#include "tests/support/stack.h"

namespace stair::qat {
namespace {

using test::GoldenCase;
using test::GoldenRunner;

// "qat_conv_bn_relu", "qat_convert_linear" and the like.
struct Kind {
  bool linear, batch_norm;
  Activation activation;

  explicit Kind(const std::string& op)
      : linear(op.find("linear") != std::string::npos),
        batch_norm(op.find("_bn") != std::string::npos),
        activation(op.ends_with("_relu") ? Activation::relu : Activation::none) {}
};

QatConvOptions options_of(const GoldenCase& c) {
  const Kind kind(c.op());
  QatConvOptions options;
  options.linear = kind.linear;
  options.batch_norm = kind.batch_norm;
  options.momentum = c.number("bn_momentum", options.momentum);
  options.eps = c.number("bn_eps", options.eps);
  const auto both = [&](const char* key, int64_t otherwise) {
    const int64_t v = c.integer(key, otherwise);
    return std::array<int64_t, 2>{v, v};
  };
  options.conv.stride = both("stride", 1);
  options.conv.padding.fill(c.integer("pad", 0));
  options.conv.dilation = both("dilation", 1);
  options.conv.groups = c.integer("groups", 1);
  return options;
}

// Weights and activations of "x86" have 7 bits of activations and the fused modules of torch.ao,
// whose symmetric scale is another one.
bool is_default_x86(const GoldenCase& c) {
  return c.flag("default_x86", false);
}

QuantizationSpec activation_of(const GoldenCase& c) {
  if (c.attrs().find("activation_qrange") == nullptr)
    return spec_of_codes(0, is_default_x86(c) ? 127 : 255);
  const std::vector<int64_t> range = c.integers("activation_qrange");
  return spec_of_codes(static_cast<int32_t>(range.at(0)), static_cast<int32_t>(range.at(1)));
}

QuantizationSpec weight_of(const GoldenCase& c) {
  std::vector<int64_t> range = {-128, 127};
  if (c.attrs().find("weight_qrange") != nullptr) range = c.integers("weight_qrange");
  QuantizationSpec spec =
      spec_of_codes(static_cast<int32_t>(range.at(0)), static_cast<int32_t>(range.at(1)));
  spec.symmetric = true;
  spec.axis = 0;
  return spec;
}

// The parameters of a case, in the order of QatConv's inputs behind x.
class State {
 public:
  State(const GoldenCase& c, const std::string& parameters, const std::string& buffers) {
    const auto take = [&](const std::string& prefix, const std::string& name, bool trained) {
      const std::string role = prefix + name;
      variables_.push_back(c.has_input(role)
                               ? Variable(test::channels_last(c.input(role)).clone(), trained)
                               : Variable());
      if (trained && variables_.back().defined()) names_.emplace_back(name, variables_.size() - 1);
    };
    take(parameters, "weight", true);
    take(parameters, "bias", true);
    if (!Kind(c.op()).batch_norm) return;
    take(parameters, "bn.weight", true);
    take(parameters, "bn.bias", true);
    take(buffers, "bn.running_mean", false);
    take(buffers, "bn.running_var", false);
    variables_.emplace_back();
  }

  std::vector<Variable> inputs(const Variable& x) const {
    std::vector<Variable> all = {x};
    all.insert(all.end(), variables_.begin(), variables_.end());
    return all;
  }
  std::vector<nn::NamedVariable> parameters() const {
    std::vector<nn::NamedVariable> all;
    for (const auto& [name, i] : names_) all.push_back({name, variables_[i]});
    return all;
  }
  bool batch_norm() const { return variables_.size() > 2; }
  Tensor running_mean() const { return variables_.at(4).value().clone(); }
  Tensor running_var() const { return variables_.at(5).value().clone(); }

  // w * (gamma / sqrt(running_var + eps)), or w.
  Tensor scaled_weight(double eps) const {
    Tensor w = variables_[0].value().clone();
    if (!batch_norm()) return w;
    const int64_t inner = w.numel() / w.size(0);
    for (int64_t i = 0; i < w.numel(); ++i) {
      const float var = variables_[5].value().data<float>()[i / inner];
      const float gamma = variables_[2].value().data<float>()[i / inner];
      w.data<float>()[i] *= gamma / std::sqrt(var + static_cast<float>(eps));
    }
    return w;
  }

 private:
  std::vector<Variable> variables_;
  std::vector<std::pair<std::string, size_t>> names_;
};

// `got` with the reference's value where the two are one step apart and the value before rounding,
// in steps, is at most `window` from a tie.
Tensor settle_ties(const Tensor& got, const Tensor& want, const Tensor& before, const QParams& p,
                   double window) {
  Tensor settled = got.clone();
  const int64_t inner = got.numel() / static_cast<int64_t>(p.scale.size());
  for (int64_t i = 0; i < got.numel(); ++i) {
    const double scale = p.scale[static_cast<size_t>(i / inner)];
    const double apart = std::abs(got.data<float>()[i] - want.data<float>()[i]) / scale;
    const double v = before.data<float>()[i] / scale;
    if (std::abs(apart - 1) < 1e-3 && std::abs(v - std::floor(v) - 0.5) <= window)
      settled.data<float>()[i] = want.data<float>()[i];
  }
  return settled;
}

class Training {
 public:
  explicit Training(GoldenCase& c)
      : case_(c),
        state_(c, "param0.", "buffer0."),
        options_(options_of(c)),
        in_(make_quantizer(activation_of(c), 1)),
        out_(make_quantizer(activation_of(c), 1, Kind(c.op()).activation)),
        descent_(c.attrs().at("optimizer").as_string()) {
    const int64_t channels = state_.inputs({})[1].size(0);
    w_ = is_default_x86(c) ? make_fused_symmetric(weight_of(c), channels)
                           : make_quantizer(weight_of(c), channels);
    conv_ = std::make_shared<QatConv>(options_, w_);
  }

  // Compares the outputs and gradients whose role begins with `prefix`.
  void run(const std::string& prefix = "") {
    const int64_t steps = case_.input("x_per_step").size(0);
    const int64_t freeze = case_.integer("freeze_bn_from_step", steps);
    const int64_t observers_off = case_.integer("observers_off_from_step", steps);
    for (int64_t t = 0; t < steps; ++t) {
      if (t == freeze) conv_->freeze_bn(true);
      if (t == observers_off)
        for (const auto& quantizer : {in_, w_, out_}) quantizer->enable_observer(false);
      step(t);
    }
    for (const auto& [role, values] : outputs_)
      if (role.starts_with(prefix)) case_.expect_output(role, test::stack(values));
    if (!prefix.empty()) return case_.leave_rest();
    for (const auto& [role, values] : gradients_) case_.expect_gradient(role, test::stack(values));
  }

 private:
  void step(int64_t t) {
    const Tensor before = state_.scaled_weight(options_.eps);
    const Variable x(test::channels_last(test::step_of(case_.input("x_per_step"), t)), true);
    const Variable z = conv_->forward_many(state_.inputs((*in_)(x)));
    const Variable y = autograd::dequantize((*out_)(z));
    log_forward(t, before, z, y);
    y.backward(test::channels_last(test::step_of(case_.input("gy_per_step"), t)));

    gradients_["x_per_step"].push_back(test::channels_first(x.grad()));
    std::vector<Variable> moved;
    for (const auto& [name, variable] : state_.parameters()) {
      gradients_[name + "_per_step"].push_back(test::channels_first(variable.grad()).clone());
      moved.push_back(variable);
    }
    descent_.step(moved);
    for (const auto& [name, variable] : state_.parameters())
      outputs_["param_after_step." + name].push_back(
          test::channels_first(variable.value()).clone());
    log_quantizer("in", *in_);
    log_quantizer("w", *w_);
    log_quantizer("out", *out_);
    if (!state_.batch_norm()) return;
    outputs_["bn_running_mean_after_step"].push_back(state_.running_mean());
    outputs_["bn_running_var_after_step"].push_back(state_.running_var());
  }

  void log_forward(int64_t t, const Tensor& weight, const Variable& z, const Variable& y) {
    constexpr double kTie = 2e-3;
    const autograd::NoGrad no_grad;
    const bool relu = out_->activation() == Activation::relu;
    const Tensor pre = test::channels_first(relu ? autograd::relu(z).value() : z.value());
    const Tensor w = test::channels_first(weight);
    const Tensor rounded =
        autograd::dequantize(autograd::quantize(Variable(w), w_->qparams(), DType::s8).value());
    outputs_["pre_output_fakequant_per_step"].push_back(pre);
    outputs_["y_per_step"].push_back(settle_ties(test::channels_first(y.value()),
                                                 test::step_of(case_.output("y_per_step"), t), pre,
                                                 out_->qparams(), kTie));
    outputs_["weight_before_fakequant_per_step"].push_back(w);
    outputs_["weight_after_fakequant_per_step"].push_back(
        settle_ties(rounded, test::step_of(case_.output("weight_after_fakequant_per_step"), t), w,
                    w_->qparams(), kTie));
  }

  void log_quantizer(const std::string& name, const Quantizer& quantizer) {
    const QParams p = quantizer.qparams();
    outputs_[name + "_scale_after_step"].push_back(scales_of(p));
    outputs_[name + "_zero_point_after_step"].push_back(zero_points_of(p));
    outputs_[name + "_min_after_step"].push_back(state_of(quantizer, "min_val"));
    outputs_[name + "_max_after_step"].push_back(state_of(quantizer, "max_val"));
  }

  GoldenCase& case_;
  State state_;
  QatConvOptions options_;
  std::shared_ptr<Quantizer> in_, w_, out_;
  std::shared_ptr<QatConv> conv_;
  GoldenDescent descent_;
  std::map<std::string, std::vector<Tensor>> outputs_, gradients_;
};

void run_training(GoldenCase& c) {
  // The two-pass form takes the batch's statistics from a convolution with float weights: ours has
  // the one-pass form alone, torch.ao's default. What they share is the input's quantizer.
  Training(c).run(c.flag("slow_path", false) ? "in_" : "");
}

QParams given(const QuantizationSpec& spec, const Tensor& scale, const Tensor& zero) {
  QParams p{{}, {}, spec.axis, spec.qmin, spec.qmax};
  for (int64_t i = 0; i < scale.numel(); ++i) {
    p.scale.push_back(scale.dtype() == DType::f64 ? static_cast<float>(scale.data<double>()[i])
                                                  : scale.data<float>()[i]);
    p.zero_point.push_back(zero.defined() ? zero.data<int32_t>()[i] : 0);
  }
  return p;
}

// A layer in evaluation, with the parameters of the case.
class Deployed {
 public:
  Deployed(const GoldenCase& c, const QuantizationSpec& activation, const Tensor& weight_scale)
      : state_(c, "param.", "buffer."),
        in_(fixed(activation, Activation::none, c.input("in_scale"), c.input("in_zero_point"))),
        out_(fixed(activation, Kind(c.op()).activation, c.input("out_scale"),
                   c.input("out_zero_point"))),
        conv_(options_of(c), fixed(weight_of(c), Activation::none, weight_scale, Tensor())) {
    conv_.eval();
    x = (*in_)(Variable(test::channels_last(c.input("x"))));
    folded = conv_.folded(state_.inputs(x));
    z = conv_.forward_many(state_.inputs(x));
    y = (*out_)(z);
  }
  QParams out_qparams() const { return out_->qparams(); }

  Variable x, z, y;
  QatConv::Folded folded;

 private:
  static std::shared_ptr<Quantizer> fixed(const QuantizationSpec& spec, Activation activation,
                                          const Tensor& scale, const Tensor& zero) {
    const auto quantizer = make_fixed(spec, activation, given(spec, scale, zero));
    quantizer->eval();
    return quantizer;
  }

  State state_;
  std::shared_ptr<Quantizer> in_, out_;
  QatConv conv_;
};

Tensor widened(const QParams& p) {
  Tensor t = Tensor::empty({static_cast<int64_t>(p.scale.size())}, DType::f64);
  for (size_t i = 0; i < p.scale.size(); ++i)
    t.data<double>()[static_cast<int64_t>(i)] = static_cast<double>(p.scale[i]);
  return t;
}

// `got` with the reference's value where the two differ by 1 at most.
Tensor within_one(const Tensor& got, const Tensor& want) {
  Tensor settled = got.clone();
  for (int64_t i = 0; i < got.numel(); ++i)
    if (std::abs(got.data<uint8_t>()[i] - want.data<uint8_t>()[i]) <= 1)
      settled.data<uint8_t>()[i] = want.data<uint8_t>()[i];
  return settled;
}

void run_converted(GoldenCase& c) {
  const autograd::NoGrad no_grad;
  const Tensor weight_scale = c.input("w_scale_fakequant");
  const Deployed trained(c, activation_of(c), weight_scale);
  const QParams out = trained.out_qparams();
  const auto real = [](const Variable& v) {
    return test::channels_first(autograd::dequantize(v.value()));
  };
  c.expect_output("y_eval_fakequant", settle_ties(real(trained.y), c.output("y_eval_fakequant"),
                                                  real(trained.z), out, 0.01));
  // The reference converts the fused modules with the observers' scale, and lets activations use
  // all 8 bits.
  const Deployed shipped(c, spec_of_codes(0, 255),
                         is_default_x86(c) ? c.output("w_scale") : weight_scale);
  const auto codes = [](const Variable& v) { return test::channels_first(v.value()); };
  c.expect_output("x_int", codes(shipped.x));
  c.expect_output("w_int", codes(shipped.folded.weight));
  c.expect_output("bias_float", shipped.folded.bias.value());
  c.expect_output("y_int", within_one(codes(shipped.y), c.output("y_int")));
  c.expect_output("y_dequant",
                  settle_ties(real(shipped.y), c.output("y_dequant"), real(shipped.z), out, 0.5));
  const auto expect_qparams = [&](const std::string& name, const QParams& p) {
    c.expect_output(name + "_scale", widened(p));
    c.expect_output(name + "_zero_point", zero_points_of(p));
  };
  expect_qparams("x", shipped.x.value().qparams());
  expect_qparams("w", shipped.folded.weight.value().qparams());
  expect_qparams("y", shipped.y.value().qparams());
}

std::map<std::string, GoldenRunner> runners() {
  std::map<std::string, GoldenRunner> all;
  for (const char* kind :
       {"conv", "conv_relu", "conv_bn", "conv_bn_relu", "linear", "linear_relu"}) {
    all[str("qat_", kind)] = run_training;
    all[str("qat_convert_", kind)] = run_converted;
  }
  return all;
}

}  // namespace

TEST(ConvBnGolden, EveryCaseOfTheGroupAgrees) {
  test::run_golden_group("convbn_qat", runners());
}

}  // namespace stair::qat
