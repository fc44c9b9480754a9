#include "kernels/depthwise/depthwise.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/parallel.h"
#include "core/storage.h"

namespace stair::kernels {
namespace {

// Parts that a call is cut into where it has that many rows.
constexpr int64_t kTasks = 64;

// A tap along one axis: its index in the window, and the input position it reads at output position
// 0.
struct Tap {
  int64_t k, offset;
};

// Output columns [first, last), for all of which exactly `taps` lie inside the picture.
struct Segment {
  int64_t first, last;
  std::vector<Tap> taps;
};

// Cuts `count` output positions, whose tap t reads position * step + offset of `size`.
std::vector<Segment> cut(int64_t count, int64_t step, int64_t size, const std::vector<Tap>& taps) {
  std::vector<Segment> segments;
  // The taps inside follow each other, since their offsets only rise or only fall.
  auto first_before = taps.end(), last_before = taps.end();
  for (int64_t position = 0; position < count; ++position) {
    const auto inside = [&](const Tap& tap) {
      const int64_t at = position * step + tap.offset;
      return at >= 0 && at < size;
    };
    const auto first = std::find_if(taps.begin(), taps.end(), inside),
               last = std::find_if_not(first, taps.end(), inside);
    if (position > 0 && first == first_before && last == last_before) {
      ++segments.back().last;
      continue;
    }
    segments.push_back({position, position + 1, {first, last}});
    first_before = first, last_before = last;
  }
  return segments;
}

// Output positions [0, count) of one axis that share their taps, clipping apart.
struct Axis {
  int64_t count, step;
  std::vector<Tap> taps;
};

Axis forward_axis(int64_t count, int64_t window, int64_t stride, int64_t pad, int64_t dilation) {
  Axis axis{count, stride, {}};
  for (int64_t k = 0; k < window; ++k) axis.taps.push_back({k, k * dilation - pad});
  return axis;
}

// Positions phase, phase + stride, ... of the gradient of an axis of `size` positions.
Axis backward_axis(int64_t size, int64_t phase, int64_t window, int64_t stride, int64_t pad,
                   int64_t dilation) {
  Axis axis{(size - phase + stride - 1) / stride, 1, {}};
  for (int64_t k = 0; k < window; ++k)
    if ((phase + pad - k * dilation) % stride == 0)
      axis.taps.push_back({k, (phase + pad - k * dilation) / stride});
  return axis;
}

// Pictures that taps read, of floats or codes.
template <class X>
struct Input {
  const X* data;
  int64_t n, h, w, c;
};

// What the taps inside the picture read: the input pixel of a segment's first column, and the tap's
// index in the window.
template <class X>
struct Reads {
  std::vector<const X*> pixels;
  std::vector<int64_t> window;
};

template <class X>
class Rows {
 public:
  Rows(const Input<X>& in, const Axis& vertical, const Axis& horizontal, int64_t window_width)
      : in_(in),
        vertical_(vertical),
        horizontal_(horizontal),
        window_width_(window_width),
        segments_(cut(horizontal.count, horizontal.step, in.w, horizontal.taps)) {}

  // Calls f(segment) for the segments of output row `row` of image `n`, with `reads` set for each.
  template <class F>
  void visit(int64_t n, int64_t row, Reads<X>& reads, const F& f) const {
    for (const Segment& segment : segments_) {
      reads.pixels.clear();
      reads.window.clear();
      for (const Tap& ty : vertical_.taps) {
        const int64_t y = row * vertical_.step + ty.offset;
        if (y < 0 || y >= in_.h) continue;
        for (const Tap& tx : segment.taps) {
          const int64_t x = segment.first * horizontal_.step + tx.offset;
          reads.pixels.push_back(in_.data + ((n * in_.h + y) * in_.w + x) * in_.c);
          reads.window.push_back(ty.k * window_width_ + tx.k);
        }
      }
      f(segment);
    }
  }

 private:
  const Input<X>& in_;
  const Axis &vertical_, &horizontal_;
  int64_t window_width_;
  std::vector<Segment> segments_;
};

// [C][taps] as [taps][C].
Scratch transposed(const float* w, int64_t c, int64_t taps) {
  Scratch out(sizeof(float) * static_cast<size_t>(c * taps));
  for (int64_t i = 0; i < c; ++i)
    for (int64_t t = 0; t < taps; ++t) out.as<float>()[t * c + i] = w[i * taps + t];
  return out;
}

// Where a grid of output pixels is written.
struct Output {
  float* data;
  int64_t image, row, col;  // distances
};

// Grids of output pixels, interleaved, that the same pictures give.
struct Phase {
  Axis vertical, horizontal;
  Output out;
};

// Row by row through all phases, so that what they read and write stays in the cache.
void run_rows(const Input<float>& in, const std::vector<Phase>& phases, const ConvShape& s,
              const float* weights, const float* bias, Distance next, const DepthwiseMicro& micro) {
  std::vector<Rows<float>> rows;
  int64_t count = 0;
  for (const Phase& p : phases) {
    rows.emplace_back(in, p.vertical, p.horizontal, s.kw);
    count = std::max(count, p.vertical.count);
  }
  const int64_t bands = std::min(count, (kTasks + in.n - 1) / in.n);
  parallel_tasks(in.n * bands, [&](int64_t task) {
    const int64_t n = task / bands, band = task % bands;
    Reads<float> reads;
    std::vector<const float*> w;
    for (int64_t row = count * band / bands; row < count * (band + 1) / bands; ++row)
      for (size_t i = 0; i < phases.size(); ++i) {
        const auto& [vertical, horizontal, out] = phases[i];
        if (row >= vertical.count) continue;
        rows[i].visit(n, row, reads, [&](const Segment& segment) {
          w.clear();
          for (int64_t k : reads.window) w.push_back(weights + k * in.c);
          micro.row({reads.pixels.data(), w.data(), bias,
                     out.data + n * out.image + row * out.row + segment.first * out.col,
                     static_cast<int64_t>(w.size()), in.c, segment.last - segment.first,
                     horizontal.step * in.c, out.col, next});
        });
      }
  });
}

// gw = scale * the sums of x and gy. `all` has what segments share.
template <class X>
void sum_segments(const ConvShape& s, const X* x, const float* gy, DepthwiseSum<X> all,
                  void (*sum)(const DepthwiseSum<X>&), float scale, float* gw) {
  all.channels = all.g_step = s.c;
  all.in_step = s.stride_w * s.c;
  const int64_t taps = s.kh * s.kw, floats = taps * s.c, oh = s.oh(), ow = s.ow();
  const Axis vertical = forward_axis(oh, s.kh, s.stride_h, s.pad_top, s.dilation_h);
  const Axis horizontal = forward_axis(ow, s.kw, s.stride_w, s.pad_left, s.dilation_w);
  const Input<X> in{x, s.n, s.h, s.w, s.c};
  const Rows<X> rows(in, vertical, horizontal, s.kw);
  const int64_t splits = std::min(s.n * oh, kTasks);
  const Scratch partial(sizeof(float) * static_cast<size_t>(splits * floats));
  parallel_tasks(splits, [&](int64_t split) {
    float* sums = partial.as<float>() + split * floats;
    std::memset(sums, 0, sizeof(float) * static_cast<size_t>(floats));
    Reads<X> reads;
    std::vector<float*> targets;
    for (int64_t i = s.n * oh * split / splits; i < s.n * oh * (split + 1) / splits; ++i)
      rows.visit(i / oh, i % oh, reads, [&](const Segment& segment) {
        targets.clear();
        for (int64_t k : reads.window) targets.push_back(sums + k * s.c);
        DepthwiseSum<X> part = all;
        part.in = reads.pixels.data(), part.sums = targets.data();
        part.g = gy + (i * ow + segment.first) * s.c;
        part.taps = std::ssize(targets), part.cols = segment.last - segment.first;
        sum(part);
      });
  });
  float* const sums = partial.as<float>();
  parallel_for(floats, 1 << 11, [&](int64_t begin, int64_t end) {
    for (int64_t split = 1; split < splits; ++split)
      for (int64_t i = begin; i < end; ++i) sums[i] += sums[split * floats + i];
  });
  for (int64_t c = 0; c < s.c; ++c)
    for (int64_t t = 0; t < taps; ++t) gw[c * taps + t] = sums[t * s.c + c] * scale;
}

}  // namespace

void depthwise_forward(const ConvForward<float>::Args& a, const DepthwiseMicro& micro) {
  const ConvShape& s = a.s;
  const Scratch w = transposed(a.w, s.c, s.kh * s.kw);
  run_rows({a.x, s.n, s.h, s.w, s.c},
           {{forward_axis(s.oh(), s.kh, s.stride_h, s.pad_top, s.dilation_h),
             forward_axis(s.ow(), s.kw, s.stride_w, s.pad_left, s.dilation_w),
             {a.y, s.oh() * s.ow() * s.c, s.ow() * s.c, s.c}}},
           s, w.as<float>(), a.bias, 0, micro);
}

void depthwise_backward_data(const ConvBackwardData<float>::Args& a, const DepthwiseMicro& micro) {
  const ConvShape& s = a.s;
  const Scratch w = transposed(a.w, s.c, s.kh * s.kw);
  std::vector<Phase> phases;
  for (int64_t py = 0; py < std::min(s.stride_h, s.h); ++py)
    for (int64_t px = 0; px < std::min(s.stride_w, s.w); ++px)
      phases.push_back({backward_axis(s.h, py, s.kh, s.stride_h, s.pad_top, s.dilation_h),
                        backward_axis(s.w, px, s.kw, s.stride_w, s.pad_left, s.dilation_w),
                        {a.gx + (py * s.w + px) * s.c, s.h * s.w * s.c, s.stride_h * s.w * s.c,
                         s.stride_w * s.c}});
  run_rows({a.gy, s.n, s.oh(), s.ow(), s.c}, phases, s, w.as<float>(), nullptr, a.next, micro);
}

void depthwise_backward_weights(const ConvBackwardWeights<float>::Args& a,
                                const DepthwiseMicro& micro) {
  DepthwiseSum<float> all{};
  std::copy_n(a.next, 2, all.next);
  sum_segments(a.s, a.x, a.gy, all, micro.sum, 1, a.gw);
}

void depthwise_codes_backward_weights(const CodesBackwardWeights::Args& a,
                                      const DepthwiseMicro& micro) {
  DepthwiseSum<uint8_t> all{};
  std::copy_n(a.next, 2, all.next);
  all.flip = a.q_signed ? 128 : 0;
  all.zero = a.zero_point + all.flip;
  sum_segments(a.s, static_cast<const uint8_t*>(a.q), a.gy, all, micro.codes_sum, a.scale, a.gw);
}

}  // namespace stair::kernels
