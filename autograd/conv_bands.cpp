#include "autograd/conv_bands.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/storage.h"
#include "kernels/elementwise/elementwise.h"

namespace stair::autograd {
namespace {

// Floats of a band's x, gx and gy: half of an L2 cache of 1 MiB.
constexpr int64_t kBandFloats = 128 << 10;
// Weights are packed for every band, which costs little while they are few.
constexpr int64_t kMostWeights = 32 << 10;
// Floats of the whole gx and gy; fewer stay in the cache anyway.
constexpr int64_t kLeastFloats = 2 << 20;
// Parts that a call is cut into where it has that many bands.
constexpr int64_t kTasks = 64;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// The bands of one task.
class Task {
 public:
  Task(const BandedBackward& b, const Tensor& gx, const float* watched, int64_t index, float* gw)
      : b_(b),
        gx_(gx),
        watched_(watched),
        index_(index),
        weights_(b.w.numel()),
        gw_(gw),
        part_(sizeof(float) * static_cast<size_t>(weights_)) {}

  void run(const ConvBand& band) {
    const int64_t o = b_.shape.o;
    Scratch scratch(sizeof(float) * static_cast<size_t>(band.gy.count() * o));
    float* const gy = scratch.as<float>();
    b_.gy.rows(band.gy.first, band.gy.last, gy);
    if (b_.want_x) write_gx(band, gy);
    if (b_.want_w && band.gw.count() > 0) add_gw(band, gy + (band.gw.first - band.gy.first) * o);
  }

 private:
  // A gx larger than the caches is written to them band by band at the same place, and from there
  // to memory, which then need not be read before.
  void write_gx(const ConvBand& band, const float* gy) {
    constexpr int64_t kCacheFloats = 8 << 20;
    const bool far = gx_.numel() > kCacheFloats;
    const int64_t floats = band.gx.count() * b_.shape.c;
    float* const place = gx_.data<float>() + band.gx.first * b_.shape.c;
    const Scratch near(sizeof(float) * static_cast<size_t>(far ? floats : 0));
    float* const gx = far ? near.as<float>() : place;
    const float* const watched =
        watched_ == nullptr ? nullptr : watched_ + band.gx.first * b_.shape.c;
    kernels::run<kernels::ConvBackwardData<float>>(
        {band.data, gy, b_.w.data<float>(), gx, kernels::distance(gx, watched)});
    if (b_.watch != nullptr) b_.watch->written(index_, band.gx.first, band.gx.last, gx);
    if (far) kernels::run<kernels::StoreFar<float>>({floats, gx, place});
  }

  void add_gw(const ConvBand& band, const float* gy) {
    float* const to = first_ ? gw_ : part_.as<float>();
    // What the formula reads for the next band, which mostly is this thread's.
    const bool last = band.gy.last == b_.shape.rows();
    const auto next = [&](size_t i) {
      const float* const from = b_.gy.reads()[i];
      return last || from == nullptr ? 0 : kernels::distance(gy, from + band.gy.last * b_.shape.o);
    };
    if (b_.x.quantized()) {
      const Tensor& codes = b_.x;
      const QParams& p = codes.qparams();
      kernels::run<kernels::CodesBackwardWeights>(
          {band.weights,
           static_cast<const std::byte*>(codes.raw()) + band.x.first * b_.shape.c,
           codes.dtype() == DType::s8,
           p.zero_point[0],
           p.scale[0],
           gy,
           to,
           {next(0), next(1)}});
    } else {
      const RowsOf reals(b_.x, band.x.first, band.x.last);
      kernels::run<kernels::ConvBackwardWeights<float>>(
          {band.weights, reals.data(), gy, to, {next(0), next(1)}});
    }
    if (!first_) kernels::run<kernels::Axpy<float>>({weights_, 1.0F, to, gw_});
    first_ = false;
  }

  const BandedBackward& b_;
  const Tensor& gx_;
  const float* watched_;  // what the watch reads, laid out as gx; or null
  int64_t index_, weights_;
  float* gw_;
  Scratch part_;
  bool first_ = true;
};

}  // namespace

bool ConvBands::fit(const kernels::ConvShape& s) {
  if (s.depthwise())
    return s.dilation_h == 1 && s.kh >= s.stride_h && s.pad_top < s.kh && s.pad_bottom < s.kh &&
           (s.oh() - 1) * s.stride_h + s.kh >= s.h + s.pad_top;  // every row is in a window
  return s.pointwise() && s.groups == 1;
}

bool ConvBands::pay(const kernels::ConvShape& s) {
  return fit(s) && (s.depthwise() || s.o * s.c <= kMostWeights) &&
         s.n * s.h * s.w * s.c + s.rows() * s.o > kLeastFloats;
}

ConvBands::ConvBands(const kernels::ConvShape& s) : s_(s) {
  if (!s.depthwise()) {
    constexpr int64_t kTile = 96;  // pixels that the products take at once
    step_ = std::max<int64_t>(1, kBandFloats / (s.o + 2 * s.c) / kTile) * kTile;
    images_ = 1;
    each_ = ceil_div(s.n * s.h * s.w, step_);
    return;
  }
  const int64_t row = 2 * s.w * s.c + s.ow() * s.o / s.stride_h;
  step_ = std::max<int64_t>(2, kBandFloats / (row * s.stride_h)) * s.stride_h;
  images_ = s.n;
  each_ = ceil_div(s.h, step_);
  step_ = ceil_div(ceil_div(s.h, each_), s.stride_h) * s.stride_h;
  each_ = ceil_div(s.h, step_);
}

ConvBand ConvBands::operator[](int64_t i) const {
  return s_.depthwise() ? depthwise(i) : pointwise(i);
}

ConvBand ConvBands::pointwise(int64_t i) const {
  const ConvBand::Range pixels{i * step_, std::min((i + 1) * step_, s_.n * s_.h * s_.w)};
  kernels::ConvShape shape = s_;
  shape.n = shape.h = 1;
  shape.w = pixels.count();
  return {pixels, pixels, pixels, pixels, shape, shape};
}

ConvBand ConvBands::depthwise(int64_t i) const {
  const int64_t oh = s_.oh(), stride = s_.stride_h, pad = s_.pad_top, image = i / each_;
  const int64_t first = i % each_ * step_, last = std::min(first + step_, s_.h);
  ConvBand band{};
  band.data = band.weights = s_;
  band.data.n = band.weights.n = 1;
  // Output rows whose windows reach rows [first, last) of the input.
  const int64_t reach_first = ceil_div(std::max<int64_t>(0, first + pad - s_.kh + 1), stride),
                reach_last = std::min((last - 1 + pad) / stride + 1, oh);
  band.data.h = last - first;
  band.data.pad_top = first + pad - reach_first * stride;
  band.data.pad_bottom =
      (reach_last - reach_first - 1) * stride + s_.kh - band.data.h - band.data.pad_top;
  // Output rows that count here, and the rows of the input that their windows read.
  const int64_t own_first = std::min(oh, first / stride),
                own_last = last == s_.h ? oh : std::min(oh, last / stride);
  const int64_t x_first = own_first * stride - pad, x_last = (own_last - 1) * stride - pad + s_.kh;
  band.weights.pad_top = std::max<int64_t>(0, -x_first);
  band.weights.pad_bottom = std::max<int64_t>(0, x_last - s_.h);
  band.weights.h = x_last - x_first - band.weights.pad_top - band.weights.pad_bottom;
  const auto pixels = [image](int64_t rows, int64_t width, int64_t begin, int64_t end) {
    return ConvBand::Range{(image * rows + begin) * width, (image * rows + end) * width};
  };
  const int64_t top = std::max<int64_t>(0, x_first);
  band.gy = pixels(oh, s_.ow(), reach_first, reach_last);
  band.gx = pixels(s_.h, s_.w, first, last);
  band.gw = pixels(oh, s_.ow(), own_first, own_last);
  band.x = pixels(s_.h, s_.w, top, top + band.weights.h);
  return band;
}

Tensor forward_in_bands(const kernels::ConvShape& shape, const Deferred& x, const Tensor& w,
                        const Tensor& b, const kernels::ChannelMoments& wanted) {
  Tensor y = Tensor::empty({shape.n, shape.oh(), shape.ow(), shape.o}, DType::f32);
  const ConvBands bands(shape);
  kernels::TaskMoments moments(wanted, shape.o, bands.count());
  parallel_tasks(moments.parts(), [&](int64_t part) {
    const SerialLoops serial;
    int64_t before = 0;
    for (int64_t i = moments.first_task(part); i < moments.first_task(part + 1); ++i) {
      const ConvBand band = bands[i];
      if (band.gw.count() == 0) continue;
      const RowsOf reals(x, band.x.first, band.x.last);
      float* const out = y.data<float>() + band.gw.first * shape.o;
      kernels::run<kernels::ConvForward<float>>({band.weights, reals.data(), w.data<float>(),
                                                 b.defined() ? b.data<float>() : nullptr, out});
      if (!moments.wanted()) continue;
      moments.add(part, before, band.gw.count(), out);
      before += band.gw.count();
    }
  });
  if (moments.wanted()) moments.combine();
  return y;
}

BandedGradients backward_in_bands(const BandedBackward& b) {
  const ConvBands bands(b.shape);
  const int64_t tasks = std::min(bands.count(), kTasks), weights = b.w.numel();
  BandedGradients result{b.want_x ? Tensor::empty(b.x.shape(), DType::f32) : Tensor(),
                         b.want_w ? Tensor::empty(b.w.shape(), DType::f32) : Tensor()};
  const float* const watched = b.watch != nullptr ? b.watch->chunks(tasks) : nullptr;
  const Scratch sums(sizeof(float) * static_cast<size_t>(tasks * weights));
  parallel_tasks(tasks, [&](int64_t index) {
    const SerialLoops serial;
    Task task(b, result.gx, watched, index, sums.as<float>() + index * weights);
    for (int64_t i = bands.count() * index / tasks; i < bands.count() * (index + 1) / tasks; ++i)
      task.run(bands[i]);
  });
  if (!b.want_w) return result;
  float* const gw = result.gw.data<float>();
  parallel_for(weights, 1 << 11, [&](int64_t begin, int64_t end) {
    std::copy(sums.as<float>() + begin, sums.as<float>() + end, gw + begin);
    for (int64_t task = 1; task < tasks; ++task)
      for (int64_t i = begin; i < end; ++i) gw[i] += sums.as<float>()[task * weights + i];
  });
  return result;
}

}  // namespace stair::autograd
