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

// The backward of one call. The gradient is summed up as it is written, as far as that is told.
class PassBackward {
 public:
  PassBackward(const Output& rule, const Variable& x, const Variable& gamma,
               const BatchMoments& moments)
      : rule_(rule),
        kept_(x),
        gamma_(gamma.defined() ? gamma.value() : Tensor()),
        images_(x.size(0)),
        moments_(moments) {}

  void sum_to(int64_t images, const Tensor& gy) {
    if (!x_.defined()) x_ = kept_.get();
    const kernels::RowChunks chunks = kernels::row_chunks(rule_.rows, rule_.channels);
    const int64_t rows = images * (rule_.rows / images_),
                  last = rows == rule_.rows ? chunks.count : rows / chunks.rows;
    if (!sums_.defined()) sums_ = Tensor::empty({chunks.count, 2, rule_.channels}, DType::f64);
    kernels::run<kernels::NormalizeActivateSums<float>>(
        {with_values(rule_, x_, moments_), gy.data<float>(), summed_, last, sums_.data<double>()});
    summed_ = last;
  }

  std::vector<Gradient> gradients(const Tensor& gy) {
    sum_to(images_, gy);
    const Tensor factors = Tensor::empty({3, rule_.channels}, DType::f32),
                 ggamma = Tensor::empty({rule_.channels}, DType::f32),
                 gbeta = Tensor::empty({rule_.channels}, DType::f32);
    kernels::gradient_factors({rule_.rows, rule_.channels, sums_.data<double>(),
                               gamma_.defined() ? gamma_.data<float>() : nullptr,
                               moments_.invstd.data<float>(), ggamma.data<float>(),
                               gbeta.data<float>(), factors.data<float>()});
    const auto rows = [rule = rule_, x = x_, moments = moments_, gy, factors](
                          int64_t begin, int64_t end, const Tensor& to) {
      Output part = with_values(rule, x.slice(begin, end), moments);
      part.rows = to.numel() / rule.channels;
      kernels::run<kernels::NormalizeActivateGradient<float>>(
          {part, gy.slice(begin, end).data<float>(), factors.data<float>(), to.data<float>()});
    };
    return {Gradient(x_.shape(), rows), ggamma, gbeta};
  }

 private:
  Output rule_;
  Kept kept_;
  Tensor gamma_;
  int64_t images_;
  BatchMoments moments_;
  Tensor x_, sums_;
  int64_t summed_ = 0;  // chunks
};

// `result`: memory for the values.
Variable run(const char* op, const Variable& x, const Variable& gamma, const Variable& beta,
             const BatchMoments& moments, const Output& rule, const Tensor& result) {
  kernels::run<kernels::NormalizeActivate<float>>(
      {with_values(rule, x.value(), moments), result.raw()});
  const auto backward = std::make_shared<PassBackward>(rule, x, gamma, moments);
  Variable y = record(op, {x, gamma, beta}, result,
                      [backward](const Tensor& gy) { return backward->gradients(gy); });
  if (y.requires_grad()) {
    auto watch = std::make_shared<GradientWatch>();
    watch->written = [backward](int64_t end, const Tensor& gy) { backward->sum_to(end, gy); };
    y.set_watch(std::move(watch));
  }
  return y;
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
