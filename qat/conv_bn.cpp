#include "qat/conv_bn.h"

#include <cmath>

#include "autograd/dequantize.h"
#include "autograd/ops/batch_norm.h"
#include "autograd/ops/dequantize.h"
#include "autograd/ops/div.h"
#include "autograd/ops/group_linear.h"
#include "autograd/ops/linear.h"
#include "autograd/ops/mul.h"
#include "autograd/ops/quantize.h"
#include "autograd/ops/reshape.h"
#include "autograd/ops/sub.h"
#include "core/parallel.h"
#include "kernels/reduce/reduce.h"

namespace stair::qat {
namespace {

// f[o] = gamma[o] / sqrt(running_var[o] + eps). With `guard`, channels whose |f| is below 1e-6 get
// f = 1 and no gradient.
Variable bn_factor(const Variable& gamma, const Variable& running_var, double eps, bool guard) {
  const int64_t channels = running_var.size(0);
  Tensor f = Tensor::empty({channels}, DType::f32), slope = Tensor::empty({channels}, DType::f32);
  for (int64_t c = 0; c < channels; ++c) {
    const float deviation =
        std::sqrt(running_var.value().data<float>()[c] + static_cast<float>(eps));
    const float factor = (gamma.defined() ? gamma.value().data<float>()[c] : 1.0F) / deviation;
    const bool dead = guard && !(std::abs(factor) >= 1e-6F);
    f.data<float>()[c] = dead ? 1.0F : factor;
    slope.data<float>()[c] = dead ? 0.0F : 1.0F / deviation;
  }
  return autograd::record("bn_factor", {gamma}, f, [slope](const Tensor& gy) {
    Tensor g = Tensor::empty(gy.shape(), DType::f32);
    for (int64_t c = 0; c < gy.numel(); ++c)
      g.data<float>()[c] = gy.data<float>()[c] * slope.data<float>()[c];
    return std::vector<Tensor>{g};
  });
}

Variable per_output_channel(const Variable& f, const Variable& w) {
  std::vector<int64_t> dims(static_cast<size_t>(w.shape().rank()), 1);
  dims[0] = f.size(0);
  return autograd::reshape(f, Shape(dims));
}

// w / f per output channel. Integers stay as they are: only their scales are divided, which costs
// no pass over the weights.
Variable divide_channels(const Variable& w, const Variable& f) {
  if (!w.quantized()) return autograd::div(w, per_output_channel(f, w));
  const QParams& p = w.value().qparams();
  const size_t channels = static_cast<size_t>(f.size(0));
  QParams divided{std::vector<float>(channels), std::vector<int32_t>(channels), 0, p.qmin, p.qmax};
  for (size_t c = 0; c < channels; ++c) {
    divided.scale[c] = p.scale[p.per_channel() ? c : 0] / f.value().data<float>()[c];
    divided.zero_point[c] = p.zero_point[p.per_channel() ? c : 0];
  }
  const Tensor y = w.value().with_qparams(std::move(divided));
  return autograd::record("divide_channels", {w, f}, y, [y, fv = f.value()](const Tensor& gy) {
    const int64_t channels = fv.numel(), inner = gy.numel() / channels;
    Tensor gw = Tensor::empty(gy.shape(), DType::f32), gf = Tensor::empty({channels}, DType::f32);
    const Tensor quotient = autograd::dequantize(y);
    kernels::run<kernels::DotChannels<float>>(
        {{1, channels, inner}, gy.data<float>(), quotient.data<float>(), gf.data<float>()});
    parallel_tasks(channels, [&](int64_t c) {
      const float reciprocal = 1.0F / fv.data<float>()[c];
      for (int64_t i = c * inner; i < (c + 1) * inner; ++i)
        gw.data<float>()[i] = gy.data<float>()[i] * reciprocal;
      gf.data<float>()[c] *= -reciprocal;
    });
    return std::vector<Tensor>{gw, gf};
  });
}

// Of more steps not even an accumulator of zero leaves 32 bits room for a sum.
constexpr float kMostBiasSteps = 1 << 30;

// b in whole steps of x_scale * weight scale, per channel.
Variable in_whole_steps(const Variable& b, float x_scale, const QParams& weight) {
  Tensor y = b.value().clone();
  for (int64_t c = 0; c < y.numel(); ++c) {
    const float step = x_scale * weight.scale[weight.per_channel() ? static_cast<size_t>(c) : 0];
    const float steps = std::nearbyint(y.data<float>()[c] / step);
    if (std::abs(steps) <= kMostBiasSteps) y.data<float>()[c] = steps * step;
  }
  return autograd::record("bias_steps", {b}, y,
                          [](const Tensor& gy) { return std::vector<Tensor>{gy}; });
}

// s8 codes of b with one scale, that of its largest value.
QParams int8_qparams(const Variable& b) {
  QuantizationSpec spec = weight_spec();
  spec.axis = -1;
  const Range range = range_of(b.value(), spec.axis);
  return qparams_of(range.min, range.max, spec);
}

}  // namespace

QatConv::QatConv(const QatConvOptions& options, std::shared_ptr<Quantizer> weight_quantizer)
    : options_(options) {
  weight_quantizer_ = register_module("weight_quantizer", std::move(weight_quantizer));
  bn_frozen_ = register_buffer("bn_frozen", Tensor::full<uint8_t>({1}, 0));
}

std::shared_ptr<nn::Module> QatConv::clone() const {
  auto copy = std::make_shared<QatConv>(
      options_, std::static_pointer_cast<Quantizer>(weight_quantizer_->clone()));
  copy->freeze_bn(bn_frozen());
  copy->train(is_training());
  return copy;
}

Variable QatConv::forward(const Variable&) {
  throw ConfigError("QatConv: weights are inputs",
                    "call forward_many with x, weight, bias and the batch norm's variables");
}

Variable QatConv::quantized(const Variable& weight) const {
  const int64_t g = options_.group_size;
  return (*weight_quantizer_)(g > 0 ? autograd::reshape(weight, {weight.shape().numel() / g, g})
                                    : weight);
}

Variable QatConv::convolve(const Variable& x, const Variable& w, const Variable& bias,
                           bool moments) const {
  if (options_.group_size > 0) return autograd::group_linear(x, w, bias);
  if (options_.linear) return autograd::linear(x, w, bias);
  autograd::Conv2dOptions conv = options_.conv;
  conv.moments = moments;
  return autograd::conv2d(x, w, bias, conv);
}

QatConv::Folded QatConv::folded(std::span<const Variable> in, float x_scale) const {
  Folded form = folded_real_bias(in);
  if (x_scale <= 0 || !form.bias.defined() || !form.weight.quantized()) return form;
  if (options_.int8_bias) {
    const QParams p = int8_qparams(form.bias);
    form.bias = autograd::dequantize(autograd::quantize(form.bias, p, DType::s8));
    form.bias_scale = p.scale[0];
  } else if (options_.integer_bias && options_.group_size == 0) {
    form.bias = in_whole_steps(form.bias, x_scale, form.weight.value().qparams());
  }
  return form;
}

QatConv::Folded QatConv::folded_real_bias(std::span<const Variable> in) const {
  if (!options_.batch_norm) return {quantized(in[1]), in[2]};
  const Variable f = bn_factor(in[3], in[6], options_.eps, false);
  const Variable weight = (*weight_quantizer_)(autograd::mul(in[1], per_output_channel(f, in[1])));
  Variable shift = autograd::mul(in[5], f);
  if (in[2].defined()) shift = autograd::sub(shift, autograd::mul(in[2], f));
  return {weight, in[4].defined()
                      ? autograd::sub(in[4], shift)
                      : autograd::mul(shift, Variable(Tensor::full<float>({1}, -1.0F)))};
}

Variable QatConv::forward_many(std::span<const Variable> in) {
  return run(in, nullptr);
}

Variable QatConv::forward_into(std::span<const Variable> in, nn::Module& next) {
  auto* quantizer = dynamic_cast<Quantizer*>(&next);
  return quantizer != nullptr && uses_batch_statistics() ? run(in, quantizer)
                                                         : next(run(in, nullptr));
}

Variable QatConv::run(std::span<const Variable> in, Quantizer* next) const {
  const size_t expected = options_.batch_norm ? 8 : 3;
  if (in.size() != expected)
    throw ConfigError(str("QatConv: ", in.size(), " inputs, expected ", expected));
  if (!uses_batch_statistics()) {
    const Folded form = folded(in, in[0].quantized() ? in[0].value().qparams().scale[0] : 0);
    return convolve(in[0], form.weight, form.bias, false);
  }
  if (in[7].defined()) ++*in[7].value().data<int64_t>();
  const Variable f = bn_factor(in[3], in[6], options_.eps, true);
  const Variable wq = (*weight_quantizer_)(autograd::mul(in[1], per_output_channel(f, in[1])));
  const Variable z = convolve(in[0], divide_channels(wq, f), in[2], true);
  autograd::BatchNormOptions bn;
  bn.training = true;
  bn.momentum = options_.momentum;
  bn.eps = options_.eps;
  return next ? next->forward_normalized(z, in[3], in[4], in[5], in[6], bn)
              : autograd::batch_norm(z, in[3], in[4], in[5], in[6], bn);
}

}  // namespace stair::qat
