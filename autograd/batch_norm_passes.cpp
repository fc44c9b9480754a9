#include "autograd/batch_norm_passes.h"

#include "autograd/recompute.h"
#include "kernels/norm/norm.h"

namespace stair::autograd {
namespace {

using Output = kernels::NormalizedOutput<float>;

// Output without its pointers, which change from the forward to the backward.
Output output_of(const Shape& x, const ActiveRange& range, DType dtype) {
  Output k{};
  k.channels = x[x.rank() - 1];
  k.rows = x.numel() / k.channels;
  k.low = range.low;
  k.high = range.high;
  k.dtype = dtype;
  return k;
}

Output with_values(Output k, const Tensor& x, const BatchMoments& moments) {
  k.x = x.data<float>();
  k.mean = moments.mean.data<float>();
  k.scale = moments.scale.data<float>();
  k.shift = moments.shift.data<float>();
  return k;
}

// `result`: memory for the values.
Variable run(const char* op, const Variable& x, const Variable& gamma, const Variable& beta,
             const BatchMoments& moments, const Output& rule, const Tensor& result) {
  kernels::run<kernels::NormalizeActivate<float>>(
      {with_values(rule, x.value(), moments), result.raw()});
  return record(
      op, {x, gamma, beta}, result,
      [rule, moments, kept = Kept(x),
       gammav = gamma.defined() ? gamma.value() : Tensor()](const Tensor& gy) {
        const Tensor xv = kept.get();
        const Tensor factors = Tensor::empty({3, rule.channels}, DType::f32),
                     ggamma = Tensor::empty({rule.channels}, DType::f32),
                     gbeta = Tensor::empty({rule.channels}, DType::f32);
        kernels::run<kernels::NormalizeActivateSums<float>>(
            {with_values(rule, xv, moments), gy.data<float>(),
             gammav.defined() ? gammav.data<float>() : nullptr, moments.invstd.data<float>(),
             ggamma.data<float>(), gbeta.data<float>(), factors.data<float>()});
        const Gradient gx(xv.shape(), [rule, moments, xv, gy, factors](int64_t begin, int64_t end,
                                                                       const Tensor& to) {
          Output part = with_values(rule, xv.slice(begin, end), moments);
          part.rows = to.numel() / rule.channels;
          kernels::run<kernels::NormalizeActivateGradient<float>>(
              {part, gy.slice(begin, end).data<float>(), factors.data<float>(), to.data<float>()});
        });
        return std::vector<Gradient>{gx, ggamma, gbeta};
      });
}

}  // namespace

Variable normalize_quantize(const Variable& x, const Variable& gamma, const Variable& beta,
                            const BatchMoments& moments, const ActiveRange& range,
                            const QParams& qparams, DType dtype) {
  if (qparams.per_channel() || (dtype != DType::u8 && dtype != DType::s8))
    throw ConfigError(str("normalize_quantize: one scale and u8 or s8 are needed; got ", dtype,
                          qparams.per_channel() ? ", a scale a channel" : ""));
  Output rule = output_of(x.shape(), range, dtype);
  rule.q_scale = qparams.scale[0];
  rule.zero_point = qparams.zero_point[0];
  rule.qmin = qparams.qmin;
  rule.qmax = qparams.qmax;
  return run("normalize_quantize", x, gamma, beta, moments, rule,
             Tensor::empty(x.shape(), dtype).with_qparams(qparams));
}

Variable batch_norm_activate(const Variable& x, const Variable& gamma, const Variable& beta,
                             const Variable& running_mean, const Variable& running_var,
                             const BatchNormOptions& options, const ActiveRange& range) {
  const BatchMoments moments =
      batch_moments(x, gamma, beta, running_mean, running_var, options, false);
  const Output rule = output_of(x.shape(), range, DType::f32);
  Variable y = run("batch_norm_activate", x, gamma, beta, moments, rule,
                   Tensor::empty(x.shape(), DType::f32));
  if (recompute_enabled())
    y.set_remake([rule, moments, kept = Kept(x)] {
      const Tensor xv = kept.get(), again = Tensor::empty(xv.shape(), DType::f32);
      kernels::run<kernels::NormalizeActivate<float>>(
          {with_values(rule, xv, moments), again.raw()});
      return again;
    });
  return y;
}

}  // namespace stair::autograd
