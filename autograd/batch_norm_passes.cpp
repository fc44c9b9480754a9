#include "autograd/batch_norm_passes.h"

#include "autograd/recompute.h"
#include "core/parallel.h"
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

// Rows [begin, end) of k.
Output rows_of(Output k, int64_t begin, int64_t end) {
  k.x += begin * k.channels;
  k.rows = end - begin;
  return k;
}

// The backward of one call. The gradient is summed up as it is written, where that is told.
class PassBackward {
 public:
  PassBackward(const Output& rule, const Variable& x, const Variable& gamma,
               const BatchMoments& moments)
      : rule_(rule),
        kept_(x),
        gamma_(gamma.defined() ? gamma.value() : Tensor()),
        moments_(moments) {}

  // The input, which may have to be made again: once for all that read it in the backward.
  const Tensor& x() {
    if (!x_.defined()) x_ = kept_.get();
    return x_;
  }

  // Returns what the sums read beside the gradient.
  const float* begin_sums(int64_t chunks) {
    sums_ = Tensor::full<double>({chunks, 2, rule_.channels}, 0);
    return x().data<float>();
  }

  void sum_rows(int64_t chunk, int64_t begin, int64_t end, const float* gy) {
    kernels::run<kernels::NormalizeActivateSums<float>>(
        {rows_of(with_values(rule_, x_, moments_), begin, end), gy,
         sums_.data<double>() + 2 * chunk * rule_.channels});
  }

  std::vector<Deferred> gradients(const Tensor& gy) {
    if (!sums_.defined()) sum_all(gy.data<float>());
    const Tensor factors = Tensor::empty({3, rule_.channels}, DType::f32),
                 ggamma = Tensor::empty({rule_.channels}, DType::f32),
                 gbeta = Tensor::empty({rule_.channels}, DType::f32);
    kernels::gradient_factors({rule_.rows, rule_.channels, sums_.size(0), sums_.data<double>(),
                               gamma_.defined() ? gamma_.data<float>() : nullptr,
                               moments_.invstd.data<float>(), ggamma.data<float>(),
                               gbeta.data<float>(), factors.data<float>()});
    const auto rows = [rule = rule_, x = x_, moments = moments_, gy, factors](
                          int64_t begin, int64_t end, float* into) {
      kernels::run<kernels::NormalizeActivateGradient<float>>(
          {rows_of(with_values(rule, x, moments), begin, end),
           gy.data<float>() + begin * rule.channels, factors.data<float>(), into});
    };
    return {Deferred(x_.shape(), rows, {x_.data<float>(), gy.data<float>()}), ggamma, gbeta};
  }

 private:
  void sum_all(const float* gy) {
    const kernels::RowChunks chunks = kernels::row_chunks(rule_.rows, rule_.channels);
    begin_sums(chunks.count);
    parallel_for(rule_.rows, chunks.rows, [&](int64_t begin, int64_t end) {
      sum_rows(begin / chunks.rows, begin, end, gy + begin * rule_.channels);
    });
  }

  Output rule_;
  Kept kept_;
  Tensor gamma_;
  BatchMoments moments_;
  Tensor x_, sums_;
};

Variable run(const char* op, const Variable& x, const Variable& gamma, const Variable& beta,
             const std::shared_ptr<PassBackward>& backward, const Deferred& values) {
  Variable y = record(op, {x, gamma, beta}, values,
                      [backward](const Tensor& gy) { return backward->gradients(gy); });
  if (y.requires_grad()) {
    auto watch = std::make_shared<GradientWatch>();
    watch->chunks = [backward](int64_t count) { return backward->begin_sums(count); };
    watch->written = [backward](int64_t chunk, int64_t begin, int64_t end, const float* gy) {
      backward->sum_rows(chunk, begin, end, gy);
    };
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
  const Tensor codes = Tensor::empty(x.shape(), dtype).with_qparams(qparams);
  kernels::run<kernels::NormalizeActivate<float>>(
      {with_values(rule, x.value(), moments), codes.raw()});
  return run("normalize_quantize", x, gamma, beta,
             std::make_shared<PassBackward>(rule, x, gamma, moments), codes);
}

Variable batch_norm_activate(const Variable& x, const Variable& gamma, const Variable& beta,
                             const Variable& running_mean, const Variable& running_var,
                             const BatchNormOptions& options, const ActiveRange& range) {
  const BatchMoments moments =
      batch_moments(x, gamma, beta, running_mean, running_var, options, false);
  const Output rule = output_of(x.shape(), range, DType::f32);
  const auto values = [rule, moments](const Tensor& xv) {
    const auto rows = [rule, xv, moments](int64_t begin, int64_t end, float* into) {
      kernels::run<kernels::NormalizeActivate<float>>(
          {rows_of(with_values(rule, xv, moments), begin, end), into});
    };
    return Deferred(xv.shape(), rows, {xv.data<float>(), nullptr});
  };
  const auto backward = std::make_shared<PassBackward>(rule, x, gamma, moments);
  Variable y = run("batch_norm_activate", x, gamma, beta, backward, values(x.value()));
  if (recompute_enabled()) y.set_remake([values, backward] { return values(backward->x()); });
  return y;
}

}  // namespace stair::autograd
