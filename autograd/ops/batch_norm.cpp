#include "autograd/ops/batch_norm.h"

#include <cmath>

#include "autograd/batch_norm_passes.h"
#include "autograd/op.h"
#include "autograd/operands.h"
#include "autograd/recompute.h"
#include "kernels/norm/norm.h"

namespace stair::autograd {
namespace {

struct Inputs {
  Tensor x, gamma, beta, running_mean, running_var;
};

Tensor value_of(const Variable& v) {
  return v.defined() ? dequantize(v.value()) : Tensor();
}

Inputs check(const Inputs& in, const BatchNormOptions& p) {
  const auto received = [&] {
    return str("; got x ", in.x, " [...,C], gamma ", in.gamma, ", beta ", in.beta,
               ", running mean ", in.running_mean, ", running var ", in.running_var);
  };
  if (in.x.shape().rank() < 1)
    throw ShapeError("batch_norm: x needs a channel dimension" + received());
  const int64_t channels = in.x.size(-1);
  const auto check_channels = [&](const char* name, const Tensor& t) {
    if (!t.defined()) return;
    if (t.shape() != Shape{channels})
      throw ShapeError(str("batch_norm: ", name, " is ", t.shape(), ", expected [", channels, "]") +
                       received());
    if (t.dtype() != in.x.dtype())
      throw DTypeError(
          str("batch_norm: ", name, " is ", t.dtype(), ", expected ", in.x.dtype(), " as x") +
          received());
  };
  check_channels("gamma", in.gamma);
  check_channels("beta", in.beta);
  check_channels("running_mean", in.running_mean);
  check_channels("running_var", in.running_var);
  if (!p.training && (!in.running_mean.defined() || !in.running_var.defined()))
    throw ShapeError("batch_norm: running_mean and running_var are needed outside training" +
                     received());
  if (p.training && in.x.numel() < 2 * channels)
    throw ShapeError("batch_norm: training needs more than one value a channel" + received(),
                     "use a larger batch, or drop the last incomplete one");
  if (!(p.eps > 0)) throw ConfigError(str("batch_norm: eps ", p.eps, ", expected above 0"));
  if (!(p.momentum >= 0 && p.momentum <= 1))
    throw ConfigError(str("batch_norm: momentum ", p.momentum, ", expected 0 to 1"));
  return in;
}

// running = (1 - momentum) * running + momentum * batch * factor
template <class T>
void update(const Tensor& running, const Tensor& batch, double momentum, double factor) {
  if (!running.defined()) return;
  T* to = running.data<T>();
  for (int64_t c = 0; c < running.numel(); ++c) {
    const double now = static_cast<double>(batch.data<T>()[c]) * factor;
    to[c] = static_cast<T>((1 - momentum) * static_cast<double>(to[c]) + momentum * now);
  }
}

template <class T>
T* pointer(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

// What the backward needs besides x and gamma.
struct Statistics {
  Tensor mean, var, invstd;
};

template <class T>
Tensor forward(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormOptions& p,
               const Statistics& s) {
  const int64_t channels = x.size(-1), rows = channels == 0 ? 0 : x.numel() / channels;
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  kernels::run<kernels::BatchNormForward<T>>(
      {rows, channels, p.training, static_cast<T>(p.eps), x.data<T>(), pointer<T>(gamma),
       pointer<T>(beta), s.mean.data<T>(), s.var.data<T>(), s.invstd.data<T>(), y.data<T>()});
  return y;
}

template <class T>
void update_running(const Inputs& in, const BatchNormOptions& p, const Statistics& s) {
  const double rows = static_cast<double>(in.x.numel() / in.x.size(-1));
  update<T>(in.running_mean, s.mean, p.momentum, 1);
  update<T>(in.running_var, s.var, p.momentum, rows / (rows - 1));
}

template <class T>
std::vector<Tensor> backward(bool training, bool want_x, const Tensor& x, const Tensor& gamma,
                             const Statistics& s, const Tensor& gy) {
  const int64_t channels = x.size(-1);
  Tensor gx = want_x ? Tensor::empty(x.shape(), x.dtype()) : Tensor();
  Tensor ggamma = Tensor::empty({channels}, x.dtype()),
         gbeta = Tensor::empty({channels}, x.dtype());
  kernels::run<kernels::BatchNormBackward<T>>(
      {x.numel() / channels, channels, training, x.data<T>(), gy.data<T>(), pointer<T>(gamma),
       s.mean.data<T>(), s.invstd.data<T>(), pointer<T>(gx), ggamma.data<T>(), gbeta.data<T>()});
  return {gx, ggamma, gbeta, Tensor(), Tensor()};
}

Variable apply(std::span<const Variable> in, const Attributes& a) {
  return batch_norm(in[0], in[1], in[2], in[3], in[4],
                    {a.get<bool>("training"), a.get<double>("momentum"), a.get<double>("eps")});
}

// What BatchStatistics makes of the values themselves.
void read_sums(const ChannelSums& sums, int64_t rows, bool want_extremes, BatchMoments& m,
               float* var, float* rest) {
  float* const mean = m.mean.data<float>();
  for (size_t c = 0; c < sums.mean.size(); ++c) {
    mean[c] = static_cast<float>(sums.mean[c]);
    rest[c] = static_cast<float>(sums.mean[c] - static_cast<double>(mean[c]));
    var[c] = static_cast<float>(sums.squares[c] / static_cast<double>(rows));
  }
  if (want_extremes) m.min = sums.min, m.max = sums.max;
}

}  // namespace

Variable batch_norm(const Variable& x, const Variable& gamma, const Variable& beta,
                    const Variable& running_mean, const Variable& running_var,
                    const BatchNormOptions& options) {
  const Inputs in = check({real_operand("batch_norm", "x", x), value_of(gamma), value_of(beta),
                           value_of(running_mean), value_of(running_var)},
                          options);
  if (options.training && in.x.dtype() == DType::f32 && in.x.numel() > 0 && !x.quantized() &&
      !tracing())
    return batch_norm_activate(x, gamma, beta, running_mean, running_var, options, {});
  const Shape channels{in.x.size(-1)};
  Statistics s{in.running_mean, in.running_var, Tensor::empty(channels, in.x.dtype())};
  if (options.training) {
    s.mean = Tensor::empty(channels, in.x.dtype());
    s.var = Tensor::empty(channels, in.x.dtype());
  } else if (wants_grad(x) || wants_grad(gamma)) {
    s.mean = s.mean.clone();  // the running tensor may change before the backward
  }
  Tensor y = with_real(in.x.dtype(), "batch_norm", [&]<class T>() {
    Tensor values = forward<T>(in.x, in.gamma, in.beta, options, s);
    if (options.training) update_running<T>(in, options, s);
    return values;
  });
  s.var = Tensor();
  Variable result = record(
      "batch_norm", {x, gamma, beta, running_mean, running_var}, std::move(y),
      [training = options.training, want_x = x.requires_grad(), kept = Kept(x), gammav = in.gamma,
       s](const Tensor& gy) {
        const Tensor xf = dequantize(kept.get());
        return with_real(xf.dtype(), "batch_norm", [&]<class T>() {
          return backward<T>(training, want_x, xf, gammav, s, gy);
        });
      },
      tracing() ? Attributes{{"training", options.training},
                             {"momentum", options.momentum},
                             {"eps", options.eps}}
                : Attributes{});
  if (options.training && recompute_enabled())
    result.set_remake([options, kept = Kept(x), gammav = in.gamma, betav = in.beta, channels] {
      const Tensor xf = dequantize(kept.get());
      const auto empty = [&] { return Tensor::empty(channels, xf.dtype()); };
      return with_real(xf.dtype(), "batch_norm", [&]<class T>() {
        return forward<T>(xf, gammav, betav, options, {empty(), empty(), empty()});
      });
    });
  return result;
}

BatchMoments batch_moments(const Variable& x, const Variable& gamma, const Variable& beta,
                           const Variable& running_mean, const Variable& running_var,
                           const BatchNormOptions& options, bool want_extremes) {
  if (x.dtype() != DType::f32 || !options.training)
    throw DTypeError(str("batch_moments: training on f32 is needed; got x ", x.value()));
  const Inputs in = check(
      {x.value(), value_of(gamma), value_of(beta), value_of(running_mean), value_of(running_var)},
      options);
  const int64_t channels = in.x.size(-1), rows = in.x.numel() / channels;
  const auto empty = [&] { return Tensor::empty({channels}, DType::f32); };
  BatchMoments m{empty(), empty(), empty(), empty(), {}, {}};
  if (want_extremes) {
    m.min.resize(static_cast<size_t>(channels));
    m.max.resize(static_cast<size_t>(channels));
  }
  const Tensor var = empty(), rest = empty();
  if (x.sums())
    read_sums(*x.sums(), rows, want_extremes, m, var.data<float>(), rest.data<float>());
  else
    kernels::run<kernels::BatchStatistics<float>>(
        {rows, channels, in.x.data<float>(), m.mean.data<float>(), var.data<float>(),
         rest.data<float>(), want_extremes ? m.min.data() : nullptr,
         want_extremes ? m.max.data() : nullptr});
  for (int64_t c = 0; c < channels; ++c) {
    const double invstd = 1 / std::sqrt(static_cast<double>(var.data<float>()[c]) +
                                        static_cast<double>(static_cast<float>(options.eps)));
    const double factor =
        in.gamma.defined() ? invstd * static_cast<double>(in.gamma.data<float>()[c]) : invstd;
    const double beta_c = in.beta.defined() ? static_cast<double>(in.beta.data<float>()[c]) : 0.0;
    const float mean = m.mean.data<float>()[c], scale = static_cast<float>(factor);
    const float shift =
        static_cast<float>(beta_c - static_cast<double>(rest.data<float>()[c]) * factor);
    m.invstd.data<float>()[c] = static_cast<float>(invstd);
    m.scale.data<float>()[c] = scale;
    m.shift.data<float>()[c] = shift;
    if (!want_extremes) continue;
    // Each step of y rounds monotonically, so its extremes are those of x.
    float& min = m.min[static_cast<size_t>(c)];
    float& max = m.max[static_cast<size_t>(c)];
    min = (min - mean) * scale + shift;
    max = (max - mean) * scale + shift;
    if (scale < 0) std::swap(min, max);
    if (!std::isfinite(min) || !std::isfinite(max)) min = 1, max = 0;
  }
  update<float>(in.running_mean, m.mean, options.momentum, 1);
  update<float>(in.running_var, var, options.momentum,
                static_cast<double>(rows) / static_cast<double>(rows - 1));
  return m;
}

const OpDef op_batch_norm{"batch_norm", apply};

}  // namespace stair::autograd
