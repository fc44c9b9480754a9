#include "kernels/conv/igemm.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "core/parallel.h"
#include "core/storage.h"

namespace stair::kernels {
namespace {

// Pixels that a block's pointer tables cover: a block's input should stay in the L2 cache beside
// one panel of weights.
constexpr int64_t kBlockPixels = 96;
// Parts that a call is cut into where it has that many; enough for the threads to end together.
constexpr int64_t kTasks = 128;

// A tap reads `span` neighbouring input pixels, the first at (row * step_h + dy, column * step_w +
// dx).
struct Tap {
  int64_t dy, dx;
  int64_t weights;  // offset of the tap's weights inside one output channel of OHWI
};

// One dense problem: a grid of output pixels, each the sum over the same taps.
struct Grid {
  const float* in = nullptr;
  int64_t n = 1, h = 1, w = 1, channels = 1;  // of the input
  int64_t groups = 1;
  int64_t depth = 1;    // floats a tap reads: span * channels / groups
  int64_t columns = 1;  // output channels of a group
  int64_t span = 1;
  std::vector<Tap> taps;
  int64_t rows = 1, cols = 1, step_h = 1, step_w = 1;
  float* out = nullptr;
  int64_t out_image = 0, out_row = 0, out_col = 0;  // distances of output pixels
  Distance next = 0;
  const float* weights = nullptr;
  int64_t depth_step = 1, column_step = 1;  // distances of weights
  int64_t group_step = 0;
  const float* bias = nullptr;

  // Whether every run of columns is whole vectors of at most 16 floats and the result too large for
  // the caches: then it need not be read before it is written.
  bool streams() const {
    constexpr int64_t kVector = 16, kCacheFloats = 8 << 20;
    const auto whole = [](int64_t floats) { return floats % kVector == 0; };
    return whole(columns) && whole(out_col) && whole(out_row) && whole(out_image) &&
           reinterpret_cast<uintptr_t>(out) % (kVector * sizeof(float)) == 0 &&
           pixels() * groups * columns > kCacheFloats;
  }
  // Whether output pixels read the input's pixels one after the other.
  bool in_order() const {
    return taps.size() == 1 && taps[0].dy == 0 && taps[0].dx == 0 && span == 1 && step_h == 1 &&
           step_w == 1 && rows == h && cols == w && out_row == cols * out_col &&
           out_image == rows * out_row;
  }
  int64_t pixels() const { return n * rows * cols; }
  int64_t panels(int64_t width) const { return (columns + width - 1) / width; }
  int64_t tap_count() const { return static_cast<int64_t>(taps.size()); }
};

// Pointer tables of one block of output pixels.
class Block {
 public:
  Block(const Grid& g, int64_t tile)
      : g_(g),
        tile_(tile),
        capacity_((kBlockPixels + tile - 1) / tile * tile),
        memory_(static_cast<size_t>(bytes())) {
    std::memset(zeros(), 0, sizeof(float) * static_cast<size_t>(zero_floats()));
  }

  void fill(int64_t begin, int64_t end) {
    count_ = end - begin;
    const int64_t padded = (count_ + tile_ - 1) / tile_ * tile_;
    if (g_.in_order()) {
      for (int64_t p = 0; p < padded; ++p) {
        in()[p] = p < count_ ? g_.in + (begin + p) * g_.channels : zeros();
        out()[p] = g_.out + (begin + p) * g_.out_col;
      }
      return;
    }
    place(begin, padded);
    float* patch = zeros() + zero_floats();
    const float** table = in();
    for (int64_t p0 = 0; p0 < padded; p0 += tile_)
      for (const Tap& tap : g_.taps) {
        if (g_.span == 1)
          point(tap, p0, table);
        else
          patch = point_span(tap, p0, table, patch);
        table += tile_;
      }
  }

  int64_t count() const { return count_; }
  const float** in() const { return memory_.as<const float*>(); }
  float** out() const { return memory_.as<float*>() + table_size(); }

 private:
  struct Place {  // of an output pixel: its row and column of the input, and the pixel there
                  // (perhaps outside the picture)
    int32_t y, x;
    int64_t offset;
  };

  int64_t table_size() const { return capacity_ * g_.tap_count(); }
  int64_t zero_floats() const { return (std::max(g_.channels, g_.depth) + 15) / 16 * 16; }
  int64_t patch_floats() const { return g_.span == 1 ? 0 : table_size() * g_.depth; }
  int64_t bytes() const {
    return (table_size() + capacity_) * static_cast<int64_t>(sizeof(float*)) +
           capacity_ * static_cast<int64_t>(sizeof(Place)) +
           (zero_floats() + patch_floats()) * static_cast<int64_t>(sizeof(float));
  }
  Place* places() const { return reinterpret_cast<Place*>(out() + capacity_); }
  float* zeros() const { return reinterpret_cast<float*>(places() + capacity_); }

  // Pixels past the end of the grid lie outside every picture.
  void place(int64_t begin, int64_t padded) {
    const int64_t area = g_.rows * g_.cols;
    int64_t n = begin / area, row = begin % area / g_.cols, col = begin % g_.cols;
    for (int64_t p = 0; p < padded; ++p) {
      if (p >= count_) {
        places()[p] = {INT32_MIN / 2, INT32_MIN / 2, 0};
        continue;
      }
      const int64_t y = row * g_.step_h, x = col * g_.step_w;
      places()[p] = {static_cast<int32_t>(y), static_cast<int32_t>(x),
                     ((n * g_.h + y) * g_.w + x) * g_.channels};
      out()[p] = g_.out + n * g_.out_image + row * g_.out_row + col * g_.out_col;
      if (++col < g_.cols) continue;
      col = 0;
      if (++row < g_.rows) continue;
      row = 0;
      ++n;
    }
  }

  void point(const Tap& tap, int64_t p0, const float** table) const {
    const float* in = g_.in + (tap.dy * g_.w + tap.dx) * g_.channels;
    const float* const zero = zeros();
    const auto dy = static_cast<int32_t>(tap.dy), dx = static_cast<int32_t>(tap.dx);
    const auto h = static_cast<uint32_t>(g_.h), w = static_cast<uint32_t>(g_.w);
    const Place* place = places() + p0;
    for (int64_t p = 0; p < tile_; ++p) {
      const bool inside = (static_cast<uint32_t>(place[p].y + dy) < h) &
                          (static_cast<uint32_t>(place[p].x + dx) < w);
      table[p] = inside ? in + place[p].offset : zero;
    }
  }

  // Spans cut by the border are copied next to zeros; returns the free part of the patch memory.
  float* point_span(const Tap& tap, int64_t p0, const float** table, float* patch) const {
    const float* in = g_.in + (tap.dy * g_.w + tap.dx) * g_.channels;
    for (int64_t p = 0; p < tile_; ++p) {
      const Place& place = places()[p0 + p];
      const int64_t y = place.y + tap.dy, x = place.x + tap.dx;
      if (y < 0 || y >= g_.h || x + g_.span <= 0 || x >= g_.w) {
        table[p] = zeros();
      } else if (x >= 0 && x + g_.span <= g_.w) {
        table[p] = in + place.offset;
      } else {
        const int64_t first = std::max<int64_t>(0, -x), last = std::min(g_.span, g_.w - x);
        std::memset(patch, 0, sizeof(float) * static_cast<size_t>(g_.depth));
        std::memcpy(patch + first * g_.channels, in + place.offset + first * g_.channels,
                    sizeof(float) * static_cast<size_t>((last - first) * g_.channels));
        table[p] = patch;
        patch += g_.depth;
      }
    }
    return patch;
  }

  const Grid& g_;
  int64_t tile_, capacity_, count_ = 0;
  Scratch memory_;
};

// Packed weights and padded bias of a grid.
struct Packed {
  Packed(const Grid& g, const IgemmMicro& micro)
      : width(2 * micro.lanes),
        panels(g.panels(width)),
        panel_floats(g.tap_count() * g.depth * width),
        memory(sizeof(float) * static_cast<size_t>(g.groups * panels * (panel_floats + width))) {
    parallel_tasks(g.groups * panels, [&](int64_t task) {
      const int64_t group = task / panels, first = task % panels * width,
                    count = std::min(width, g.columns - first);
      const float* from = g.weights + group * g.group_step + first * g.column_step;
      const int64_t wide = count > micro.lanes ? width : micro.lanes;
      float* to = weights(task);
      for (const Tap& tap : g.taps) {
        pack_weights({from + tap.weights, g.depth, g.depth_step, g.column_step, count, wide}, to);
        to += g.depth * wide;
      }
      if (g.bias == nullptr) return;
      std::memset(bias(task), 0, sizeof(float) * static_cast<size_t>(width));
      std::memcpy(bias(task), g.bias + group * g.columns + first,
                  sizeof(float) * static_cast<size_t>(count));
    });
  }
  float* weights(int64_t panel) const {
    return memory.as<float>() + panel * (panel_floats + width);
  }
  float* bias(int64_t panel) const { return weights(panel) + panel_floats; }

  int64_t width, panels, panel_floats;
  Scratch memory;
};

void run_grid(const Grid& g, const IgemmMicro& micro) {
  if (g.pixels() == 0) return;
  const Packed packed(g, micro);
  const int64_t all_panels = g.groups * packed.panels;
  const int64_t blocks = (g.pixels() + kBlockPixels - 1) / kBlockPixels;
  const int64_t block_tasks = std::min(blocks, kTasks);
  const int64_t panel_tasks = std::min(all_panels, std::max<int64_t>(1, 16 / block_tasks));
  // A pointwise product of many channels reads every pixel once, too thinly spread for the hardware
  // to fetch ahead well.
  const bool thin = g.tap_count() == 1 && g.span == 1 && g.step_h == 1 && g.step_w == 1 &&
                    g.groups == 1 && g.depth >= 64;
  const int64_t ahead = thin ? micro.pixels * g.channels : 0;
  const bool stream = g.streams();
  parallel_tasks(block_tasks * panel_tasks, [&](int64_t task) {
    const int64_t bt = task / panel_tasks, pt = task % panel_tasks;
    const int64_t first_panel = all_panels * pt / panel_tasks,
                  last_panel = all_panels * (pt + 1) / panel_tasks;
    Block block(g, micro.pixels);
    for (int64_t b = blocks * bt / block_tasks; b < blocks * (bt + 1) / block_tasks; ++b) {
      block.fill(b * kBlockPixels, std::min((b + 1) * kBlockPixels, g.pixels()));
      for (int64_t p = first_panel; p < last_panel; ++p) {
        const int64_t group = p / packed.panels, first = p % packed.panels * packed.width;
        micro.panel({block.in(), block.out(), packed.weights(p), g.bias ? packed.bias(p) : nullptr,
                     block.count(), g.tap_count(), g.depth, group * (g.channels / g.groups),
                     group * g.columns + first, std::min(packed.width, g.columns - first),
                     p == first_panel ? ahead : 0, g.next, stream});
      }
    }
  });
}

// The taps of one axis that reach output phase `phase` of the gradient, as (tap index, offset into
// gy).
std::vector<std::pair<int64_t, int64_t>> phase_taps(int64_t phase, int64_t window, int64_t stride,
                                                    int64_t pad, int64_t dilation) {
  std::vector<std::pair<int64_t, int64_t>> taps;
  for (int64_t k = 0; k < window; ++k) {
    const int64_t distance = phase + pad - k * dilation;
    if (distance % stride == 0) taps.emplace_back(k, distance / stride);
  }
  return taps;
}

// Columns of the gradient that use the same taps: `count` runs of `width` neighbours, `step` apart,
// a multiple of the stride. A run is computed as one pixel of width * C channels.
struct Runs {
  int64_t first, width, count, step;
};

// Few channels fill a vector as runs of columns, with zeros for the weights that a column does not
// have: fewer products than a vector for each column. (An infinite gradient makes NaN of the
// columns beside those that it reaches.) Else the columns of each phase.
std::vector<Runs> runs_of(const ConvShape& s, int64_t lanes) {
  const int64_t width = lanes / std::max<int64_t>(s.c, 1) / s.stride_w * s.stride_w;
  std::vector<Runs> runs;
  if (s.groups > 1 || s.kw == 1 || s.dilation_w > 1 || width < 2) {
    for (int64_t x = 0; x < std::min(s.stride_w, s.w); ++x)
      runs.push_back({x, 1, (s.w - x + s.stride_w - 1) / s.stride_w, s.stride_w});
    return runs;
  }
  if (s.w >= width) runs.push_back({0, width, s.w / width, width});
  if (s.w % width > 0) runs.push_back({s.w / width * width, s.w % width, 1, width});
  return runs;
}

// Weights [O][KH][...] for runs of columns.
struct RunWeights {
  struct Column {
    int64_t dx, weights;  // of gy; of the tap inside a window's row
  };
  const float* data;
  int64_t row;  // floats of a window's row
  std::vector<Column> columns;
  std::vector<float> wide;  // [O][KH][column][width * C], for more than one column
};

RunWeights weights_of(const ConvBackwardData<float>::Args& a, const Runs& runs) {
  const ConvShape& s = a.s;
  RunWeights weights{a.w, s.kw * s.i(), {}, {}};
  if (runs.width == 1) {
    for (const auto& [kx, dx] : phase_taps(runs.first, s.kw, s.stride_w, s.pad_left, s.dilation_w))
      weights.columns.push_back({dx, kx * s.i()});
    return weights;
  }
  std::map<int64_t, std::vector<std::pair<int64_t, int64_t>>> by_dx;  // (column of the run, kx)
  for (int64_t x = 0; x < runs.width; ++x)
    for (const auto& [kx, dx] : phase_taps(runs.first + x, s.kw, s.stride_w, s.pad_left, 1))
      by_dx[dx].emplace_back(x, kx);
  const int64_t floats = runs.width * s.c;
  weights.row = std::ssize(by_dx) * floats;
  weights.wide.resize(static_cast<size_t>(s.o * s.kh * weights.row));
  weights.data = weights.wide.data();
  for (const auto& [dx, columns] : by_dx) {
    const int64_t tap = std::ssize(weights.columns) * floats;
    weights.columns.push_back({dx, tap});
    for (int64_t row = 0; row < s.o * s.kh; ++row)
      for (const auto& [x, kx] : columns)
        std::memcpy(weights.wide.data() + row * weights.row + tap + x * s.c,
                    a.w + (row * s.kw + kx) * s.c, sizeof(float) * static_cast<size_t>(s.c));
  }
  return weights;
}

// The gradient of rows phase + stride_h * row in these columns.
void backward_phase(const ConvBackwardData<float>::Args& a, int64_t phase, const Runs& runs,
                    const RunWeights& weights, const IgemmMicro& micro) {
  const ConvShape& s = a.s;
  Grid g;
  g.in = a.gy;
  g.n = s.n, g.h = s.oh(), g.w = s.ow(), g.channels = s.o;
  g.groups = s.groups;
  g.depth = s.o / s.groups;
  g.columns = runs.width * s.i();
  for (const auto& [ky, dy] : phase_taps(phase, s.kh, s.stride_h, s.pad_top, s.dilation_h))
    for (const RunWeights::Column& column : weights.columns)
      g.taps.push_back({dy, column.dx, ky * weights.row + column.weights});
  g.rows = (s.h - phase + s.stride_h - 1) / s.stride_h;
  g.cols = runs.count;
  g.step_w = runs.step / s.stride_w;
  g.out = a.gx + (phase * s.w + runs.first) * s.c;
  g.next = a.next;
  g.out_image = s.h * s.w * s.c;
  g.out_row = s.stride_h * s.w * s.c;
  g.out_col = runs.step * s.c;
  g.weights = weights.data;
  g.depth_step = s.kh * weights.row;
  g.column_step = 1;
  g.group_step = g.depth * g.depth_step;
  run_grid(g, micro);
}

}  // namespace

void pack_weights(const WeightPanel& a, float* out) {
  constexpr int64_t kRun = 16;
  if (a.count < a.width)
    std::memset(out, 0, sizeof(float) * static_cast<size_t>(a.depth * a.width));
  if (a.column_step == 1) {
    for (int64_t d = 0; d < a.depth; ++d)
      std::memcpy(out + d * a.width, a.weights + d * a.depth_step,
                  sizeof(float) * static_cast<size_t>(a.count));
    return;
  }
  // Short runs of every column in turn: reads stay in their cache line, writes within a few
  // kilobytes.
  for (int64_t d0 = 0; d0 < a.depth; d0 += kRun)
    for (int64_t j = 0; j < a.count; ++j) {
      const float* from = a.weights + j * a.column_step;
      const int64_t end = std::min(d0 + kRun, a.depth);
      for (int64_t d = d0; d < end; ++d) out[d * a.width + j] = from[d * a.depth_step];
    }
}

void igemm_forward(const ConvForward<float>::Args& a, const IgemmMicro& micro) {
  const ConvShape& s = a.s;
  Grid g;
  g.in = a.x;
  g.n = s.n, g.h = s.h, g.w = s.w, g.channels = s.c;
  g.groups = s.groups;
  // With few channels a whole row of the window is one tap: it is contiguous in the picture.
  g.span = s.i() < 16 && s.groups == 1 && s.dilation_w == 1 ? s.kw : 1;
  g.depth = g.span * s.i();
  g.columns = s.o / s.groups;
  for (int64_t ky = 0; ky < s.kh; ++ky)
    for (int64_t kx = 0; kx < s.kw; kx += g.span)
      g.taps.push_back({ky * s.dilation_h - s.pad_top, kx * s.dilation_w - s.pad_left,
                        (ky * s.kw + kx) * s.i()});
  g.rows = s.oh(), g.cols = s.ow();
  g.step_h = s.stride_h, g.step_w = s.stride_w;
  g.out = a.y;
  g.out_col = s.o, g.out_row = g.cols * s.o, g.out_image = g.rows * g.out_row;
  g.weights = a.w;
  g.depth_step = 1;
  g.column_step = s.k();
  g.group_step = g.columns * s.k();
  g.bias = a.bias;
  run_grid(g, micro);
}

void igemm_backward_data(const ConvBackwardData<float>::Args& a, const IgemmMicro& micro) {
  for (const Runs& runs : runs_of(a.s, micro.lanes)) {
    const RunWeights weights = weights_of(a, runs);
    for (int64_t phase = 0; phase < std::min(a.s.stride_h, a.s.h); ++phase)
      backward_phase(a, phase, runs, weights, micro);
  }
}

}  // namespace stair::kernels
