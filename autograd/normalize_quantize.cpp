#include "autograd/normalize_quantize.h"

#include "kernels/norm/norm.h"

namespace stair::autograd {

Variable normalize_quantize(const Variable& x, const Variable& gamma, const Variable& beta,
                            const BatchMoments& moments, const ActiveRange& range,
                            const QParams& qparams, DType dtype) {
  if (qparams.per_channel() || (dtype != DType::u8 && dtype != DType::s8))
    throw ConfigError(str("normalize_quantize: one scale and u8 or s8 are needed; got ", dtype,
                          qparams.per_channel() ? ", a scale a channel" : ""));
  const int64_t channels = x.size(-1), rows = x.value().numel() / channels;
  const auto codes_of = [=, scale = qparams.scale[0], zero_point = qparams.zero_point[0],
                         qmin = qparams.qmin, qmax = qparams.qmax](const Tensor& xv) {
    return kernels::NormalizedCodes<float>{rows,
                                           channels,
                                           xv.data<float>(),
                                           moments.mean.data<float>(),
                                           moments.scale.data<float>(),
                                           moments.shift.data<float>(),
                                           range.low,
                                           range.high,
                                           scale,
                                           zero_point,
                                           qmin,
                                           qmax};
  };
  Tensor q = Tensor::empty(x.shape(), dtype);
  kernels::run<kernels::NormalizeQuantize<float>>({codes_of(x.value()), dtype, q.raw()});
  return record(
      "normalize_quantize", {x, gamma, beta}, q.with_qparams(qparams),
      [codes_of, xv = x.value(), gammav = gamma.defined() ? gamma.value() : Tensor(),
       invstd = moments.invstd, channels](const Tensor& gy) {
        Tensor gx = Tensor::empty(xv.shape(), DType::f32);
        Tensor ggamma = Tensor::empty({channels}, DType::f32),
               gbeta = Tensor::empty({channels}, DType::f32);
        kernels::run<kernels::NormalizeQuantizeBackward<float>>(
            {codes_of(xv), gy.data<float>(), gammav.defined() ? gammav.data<float>() : nullptr,
             invstd.data<float>(), gx.data<float>(), ggamma.data<float>(), gbeta.data<float>()});
        return std::vector<Tensor>{gx, ggamma, gbeta};
      });
}

}  // namespace stair::autograd
