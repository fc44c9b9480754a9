#include "autograd/ops/learnable_fake_quantize.h"

#include <algorithm>
#include <cmath>

#include "autograd/op.h"
#include "autograd/operands.h"
#include "core/parallel.h"

namespace stair::autograd {
namespace {

constexpr int64_t kGrain = 16384;  // elements a task

// One channel's grid.
template <class T>
struct Grid {
  T scale, inverse, zero, qmin, qmax;

  T unclamped(T x) const { return std::nearbyint(x * inverse) + zero; }
  // The value of an unclamped integer; NaN gives zero.
  T value(T v) const {
    return std::isnan(v) ? T(0) : (std::min(std::max(v, qmin), qmax) - zero) * scale;
  }
};

struct Setting {
  kernels::ChannelLayout layout;
  bool per_tensor;
  int32_t qmin, qmax;
  double grad_factor;

  // A channel's elements are cut into chunks of kGrain; a task is one chunk of one channel.
  int64_t channel_elements() const { return layout.outer * layout.inner; }
  int64_t chunks() const { return (channel_elements() + kGrain - 1) / kGrain; }
};

// The integer zero point of the forward: rounded to even.
template <class T>
T rounded(T zero_point, T qmin, T qmax) {
  return std::min(std::max(std::nearbyint(zero_point), qmin), qmax);
}

// That of the per-tensor backward, which the reference rounds another way: half up and, for
// negative numbers, towards zero.
template <class T>
T truncated(T zero_point, T qmin, T qmax) {
  return std::trunc(std::min(std::max(zero_point + T(0.5), qmin), qmax));
}

template <class T>
Grid<T> grid_of(const Setting& s, const Tensor& scale, const Tensor& zero_point, int64_t channel,
                bool backward) {
  const T step = scale.data<T>()[channel], zero = zero_point.data<T>()[channel];
  const T qmin = static_cast<T>(s.qmin), qmax = static_cast<T>(s.qmax);
  const bool truncate = backward && s.per_tensor;
  return {step, T(1) / step, truncate ? truncated(zero, qmin, qmax) : rounded(zero, qmin, qmax),
          qmin, qmax};
}

// Calls f(channel, begin, end, task) for the stretches of memory of every task.
template <class F>
void for_each_stretch(const Setting& s, const F& f) {
  const int64_t inner = s.layout.inner;
  parallel_tasks(s.layout.channels * s.chunks(), [&](int64_t task) {
    const int64_t channel = task / s.chunks(), first = task % s.chunks() * kGrain;
    const int64_t last = std::min(first + kGrain, s.channel_elements());
    for (int64_t e = first; e < last;) {
      const int64_t outer = e / inner, stop = std::min(last, (outer + 1) * inner);
      const int64_t begin = (outer * s.layout.channels + channel) * inner + e % inner;
      f(channel, begin, begin + stop - e, task);
      e = stop;
    }
  });
}

template <class T>
Tensor forward(const Setting& s, const Tensor& x, const Tensor& scale, const Tensor& zero_point) {
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  const T* from = x.data<T>();
  T* to = y.data<T>();
  for_each_stretch(s, [&](int64_t channel, int64_t begin, int64_t end, int64_t) {
    const Grid<T> grid = grid_of<T>(s, scale, zero_point, channel, false);
    for (int64_t i = begin; i < end; ++i) to[i] = grid.value(grid.unclamped(from[i]));
  });
  return y;
}

// Sums of a task, combined in order afterwards.
struct Partial {
  double scale = 0, zero_point = 0;
};

template <class T>
Partial backward_stretch(const Grid<T>& grid, int64_t n, const T* x, const T* gy, T* gx) {
  Partial sum;
  for (int64_t i = 0; i < n; ++i) {
    const T v = grid.unclamped(x[i]);
    const bool inside = v >= grid.qmin && v <= grid.qmax;
    gx[i] = inside ? gy[i] : T(0);
    const double g = static_cast<double>(gy[i]);
    if (inside)
      sum.scale += g * static_cast<double>((grid.value(v) - x[i]) * grid.inverse);
    else if (!std::isnan(v))
      sum.scale += g * static_cast<double>((v < grid.qmin ? grid.qmin : grid.qmax) - grid.zero);
    if (!inside) sum.zero_point -= g * static_cast<double>(grid.scale);
  }
  return sum;
}

template <class T>
std::vector<Tensor> backward(const Setting& s, const Tensor& x, const Tensor& scale,
                             const Tensor& zero_point, const Tensor& gy) {
  Tensor gx = Tensor::empty(x.shape(), x.dtype());
  Tensor gscale = Tensor::zeros(scale.shape(), x.dtype());
  Tensor gzero = Tensor::zeros(zero_point.shape(), x.dtype());
  std::vector<Partial> partial(static_cast<size_t>(s.layout.channels * s.chunks()));
  for_each_stretch(s, [&](int64_t channel, int64_t begin, int64_t end, int64_t task) {
    const Partial part =
        backward_stretch(grid_of<T>(s, scale, zero_point, channel, true), end - begin,
                         x.data<T>() + begin, gy.data<T>() + begin, gx.data<T>() + begin);
    partial[static_cast<size_t>(task)].scale += part.scale;
    partial[static_cast<size_t>(task)].zero_point += part.zero_point;
  });
  for (int64_t c = 0; c < s.layout.channels; ++c) {
    Partial total;
    for (int64_t i = c * s.chunks(); i < (c + 1) * s.chunks(); ++i) {
      total.scale += partial[static_cast<size_t>(i)].scale;
      total.zero_point += partial[static_cast<size_t>(i)].zero_point;
    }
    gscale.data<T>()[c] = static_cast<T>(total.scale * s.grad_factor);
    gzero.data<T>()[c] = static_cast<T>(total.zero_point * s.grad_factor);
  }
  return {gx, gscale, gzero};
}

void check(const Tensor& x, const Tensor& scale, const Tensor& zero_point, int32_t qmin,
           int32_t qmax, int axis) {
  const auto received = [&] {
    return str("; got x ", x, ", scale ", scale, ", zero_point ", zero_point, ", axis ", axis);
  };
  if (axis < -1 || axis >= x.shape().rank())
    throw ConfigError(
        str("learnable_fake_quantize: axis ", axis, ", expected -1 to ", x.shape().rank() - 1) +
        received());
  const int64_t channels = axis < 0 ? 1 : x.size(axis);
  if (scale.numel() != channels || zero_point.numel() != channels || scale.shape().rank() > 1)
    throw ShapeError(
        str("learnable_fake_quantize: scale and zero_point need ", channels, " values") +
        received());
  if (scale.dtype() != x.dtype() || zero_point.dtype() != x.dtype())
    throw DTypeError("learnable_fake_quantize: element types differ" + received());
  if (qmin >= qmax)
    throw ConfigError(
        str("learnable_fake_quantize: qmin ", qmin, " and qmax ", qmax, ", expected qmin < qmax"));
  with_real(x.dtype(), "learnable_fake_quantize", [&]<class T>() {
    for (int64_t c = 0; c < channels; ++c)
      if (!(scale.data<T>()[c] > 0) || !std::isfinite(scale.data<T>()[c]))
        throw ConfigError(str("learnable_fake_quantize: scale ", scale.data<T>()[c], " of channel ",
                              c, ", expected a positive finite number"),
                          "clamp it to 2^-23 after each step");
  });
}

Variable apply(std::span<const Variable> in, const Attributes& a) {
  return learnable_fake_quantize(in[0], in[1], in[2], static_cast<int32_t>(a.get<int64_t>("qmin")),
                                 static_cast<int32_t>(a.get<int64_t>("qmax")),
                                 static_cast<int>(a.get<int64_t>("axis")),
                                 a.get<double>("grad_factor"));
}

}  // namespace

Variable learnable_fake_quantize(const Variable& x, const Variable& scale,
                                 const Variable& zero_point, int32_t qmin, int32_t qmax, int axis,
                                 double grad_factor) {
  const char* op = "learnable_fake_quantize";
  const Tensor xv = real_operand(op, "x", x), sv = real_operand(op, "scale", scale),
               zv = real_operand(op, "zero_point", zero_point);
  check(xv, sv, zv, qmin, qmax, axis);
  const Setting s{channel_layout(xv.shape(), axis), axis < 0, qmin, qmax, grad_factor};
  // The optimizer writes scale and zero_point in place, so the backward reads copies.
  Tensor y = with_real(xv.dtype(), op, [&]<class T>() { return forward<T>(s, xv, sv, zv); });
  return record(
      op, {x, scale, zero_point}, std::move(y),
      [s, xv, sv = sv.clone(), zv = zv.clone()](const Tensor& gy) {
        return with_real(xv.dtype(), "learnable_fake_quantize",
                         [&]<class T>() { return backward<T>(s, xv, sv, zv, gy); });
      },
      tracing() ? Attributes{{"qmin", int64_t{qmin}},
                             {"qmax", int64_t{qmax}},
                             {"axis", int64_t{axis}},
                             {"grad_factor", grad_factor}}
                : Attributes{});
}

const OpDef op_learnable_fake_quantize{"learnable_fake_quantize", apply};

}  // namespace stair::autograd
