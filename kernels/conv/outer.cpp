#include "kernels/conv/outer.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "core/storage.h"

namespace stair::kernels {
namespace {

// Output pixels of a chunk: enough that adding a tile to gw costs little, few enough for the L2
// cache and for the sum of floats.
constexpr int64_t kChunkPixels = 256;
// Floats of x and gy that a task walks over in one chunk: half of an L2 cache of 1 MiB.
constexpr int64_t kTaskFloats = 128 << 10;
// Parts that a call is cut into where it has that many.
constexpr int64_t kTasks = 16;
// Memory that partial sums of gw may take.
constexpr int64_t kPartialFloats = 2 << 20;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// The part [first, last) of `count` positions q for which 0 <= q * step - pad + shift <= limit.
struct Range {
  int64_t first, last;
};
Range inside(int64_t count, int64_t step, int64_t offset, int64_t limit) {
  const int64_t first = offset >= 0 ? 0 : std::min(count, ceil_div(-offset, step));
  const int64_t last = limit < offset ? 0 : std::min(count, (limit - offset) / step + 1);
  return {first, std::max(first, last)};
}

// How a call is cut; depends on the shape alone.
struct Plan {
  Plan(const ConvShape& shape, const OuterMicro& m)
      : s(shape.flattened()),
        micro(m),
        tile(choose_tile(m, s.o / s.groups)),
        direct(s.pointwise()) {
    // With few input channels the whole window is packed beside each other, so that it fills the
    // vectors.
    flat = s.i() < micro.lanes && s.kh * s.kw > 1;
    taps = flat ? 1 : s.kh * s.kw;
    depth = flat ? s.k() : s.i();
    width = 2 * micro.lanes;
    x_tiles = ceil_div(depth, width);
    g_tiles = ceil_div(s.o / s.groups, tile.rows);
    plan_chunks();
    plan_x();
    plan_tasks();
  }

  const ConvShape s;
  const OuterMicro& micro;
  const OuterTile& tile;
  bool direct;  // pointwise: x and gy are read where they are
  bool flat;
  int64_t taps, depth;  // tiles of gw are cut from [O][taps][depth]
  int64_t width;        // of a tile of x
  int64_t x_tiles, g_tiles;
  int64_t chunk_images, chunk_rows, row_chunks, chunks;
  // x is packed as [tile][image][row][col][width], or flat as [image][row][col][x_pixel] with tiles
  // beside each other. A packed row or column stands for `pack` of the picture; an output pixel
  // walks over `walk` packed ones.
  int64_t pack_h, pack_w, walk_h, walk_w, x_cols;
  int64_t pixel_splits, x_splits, g_splits;
  int64_t x_group, g_group;  // tiles of a task

  int64_t tasks() const { return s.groups * pixel_splits * x_splits * g_splits; }
  int64_t x_rows(int64_t rows) const {
    return flat ? rows : (rows - 1) * walk_h + (s.kh - 1) * s.dilation_h + 1;
  }
  int64_t x_pixel() const { return flat ? x_tiles * width + micro.lanes : width; }
  int64_t x_tile_floats() const { return chunk_images * x_rows(chunk_rows) * x_cols * x_pixel(); }
  int64_t x_floats() const { return direct ? 0 : (flat ? 1 : x_group) * x_tile_floats() + width; }
  int64_t g_tile_floats() const { return chunk_images * chunk_rows * s.ow() * micro.lanes; }
  int64_t g_floats() const { return direct ? 0 : g_group * g_tile_floats(); }

 private:
  void plan_chunks() {
    const int64_t area = s.oh() * s.ow();
    chunk_images = std::clamp<int64_t>(kChunkPixels / area, 1, s.n);
    row_chunks = chunk_images > 1 ? 1 : std::min(s.oh(), ceil_div(area, kChunkPixels));
    chunk_rows = ceil_div(s.oh(), row_chunks);
    row_chunks = ceil_div(s.oh(), chunk_rows);
    chunks = ceil_div(s.n, chunk_images) * row_chunks;
  }

  void plan_x() {
    pack_h = s.kh == 1 ? s.stride_h : 1, walk_h = s.stride_h / pack_h;
    pack_w = s.kw == 1 ? s.stride_w : 1, walk_w = s.stride_w / pack_w;
    if (flat) walk_h = walk_w = 1;
    x_cols = flat ? s.ow() : (s.ow() - 1) * walk_w + (s.kw - 1) * s.dilation_w + 1;
  }

  void plan_tasks() {
    const int64_t wanted = ceil_div(kTasks, s.groups);
    pixel_splits = std::clamp<int64_t>(kPartialFloats / (s.o * s.k()), 1, std::min(wanted, chunks));
    x_splits = g_splits = 1;
    for (;;) {
      x_group = ceil_div(x_tiles, x_splits), g_group = ceil_div(g_tiles, g_splits);
      const int64_t x_part = x_group * x_tile_floats(), g_part = g_group * g_tile_floats();
      if (pixel_splits * x_splits * g_splits >= wanted && (flat || x_part + g_part <= kTaskFloats))
        break;
      const bool x_can = !flat && x_group > 1, g_can = g_group > 1;
      if (x_can && (x_part >= g_part || !g_can))
        x_splits = ceil_div(x_tiles, ceil_div(x_group, 2));
      else if (g_can)
        g_splits = ceil_div(g_tiles, ceil_div(g_group, 2));
      else
        break;
    }
  }
};

// The output pixels of one chunk.
struct Chunk {
  int64_t image, images, row, rows;
};

Chunk chunk_at(const Plan& p, int64_t index) {
  const int64_t image = index / p.row_chunks * p.chunk_images,
                row = index % p.row_chunks * p.chunk_rows;
  return {image, std::min(p.chunk_images, p.s.n - image), row,
          std::min(p.chunk_rows, p.s.oh() - row)};
}

// What is multiplied: x as floats, or as codes.
struct Operands {
  const float* x;
  OuterCodes codes;
  const float* gy;
  Distance next[2];  // from gy
};

// Sums one range of chunks into some tiles of gw.
class Task {
 public:
  Task(const Plan& plan, const Operands& operands, int64_t group, int64_t x_split, int64_t g_split)
      : p_(plan),
        a_(operands),
        group_(group),
        x_first_(x_split * plan.x_group),
        x_last_(std::min(x_first_ + plan.x_group, plan.x_tiles)),
        g_first_(g_split * plan.g_group),
        g_last_(std::min(g_first_ + plan.g_group, plan.g_tiles)),
        memory_(sizeof(float) * static_cast<size_t>(plan.x_floats() + plan.g_floats())),
        g_(memory_.as<float>()),
        x_(g_ + plan.g_floats()) {}

  void run(int64_t first_chunk, int64_t last_chunk, float* gw) {
    for (int64_t i = first_chunk; i < last_chunk; ++i) {
      const Chunk c = chunk_at(p_, i);
      if (!p_.direct) {
        pack_g(c);
        p_.flat ? pack_x_flat(c) : pack_x(c);
      }
      multiply(c, gw, i > first_chunk);
    }
  }

 private:
  int64_t group_outputs() const { return p_.s.o / p_.s.groups; }
  const float* gy(const Chunk& c, int64_t tile) const {
    const ConvShape& s = p_.s;
    return a_.gy + (c.image * s.oh() + c.row) * s.ow() * s.o + group_ * group_outputs() +
           tile * p_.tile.rows;
  }
  int64_t x_offset(int64_t image, int64_t row, int64_t col) const {
    return ((image * p_.s.h + row) * p_.s.w + col) * p_.s.c + group_ * p_.s.i();
  }
  const float* x_at(int64_t image, int64_t row, int64_t col) const {
    return a_.x + x_offset(image, row, col);
  }

  // Chunks are whole images or part of one image, so their pixels follow each other.
  void pack_g(const Chunk& c) {
    const int64_t first = g_first_ * p_.tile.rows;
    p_.micro.copy({gy(c, g_first_), p_.s.o, g_, p_.micro.lanes, p_.g_tile_floats(),
                   c.images * c.rows * p_.s.ow(),
                   std::min(g_last_ * p_.tile.rows, group_outputs()) - first, p_.tile.rows});
  }

  void pack_x(const Chunk& c) {
    const ConvShape& s = p_.s;
    const Range cols = inside(p_.x_cols, p_.pack_w, -s.pad_left, s.w - 1);
    const int64_t first = x_first_ * p_.width,
                  floats = std::min(x_last_ * p_.width, p_.depth) - first;
    float* to = x_;
    for (int64_t m = 0; m < c.images; ++m)
      for (int64_t r = 0; r < p_.x_rows(c.rows); ++r, to += p_.x_cols * p_.width) {
        const int64_t y = c.row * s.stride_h + r * p_.pack_h - s.pad_top;
        const Range copied = y < 0 || y >= s.h ? Range{p_.x_cols, p_.x_cols} : cols;
        for (int64_t tile = 0; tile < x_last_ - x_first_; ++tile) {
          float* row = to + tile * p_.x_tile_floats();
          std::memset(row, 0, sizeof(float) * static_cast<size_t>(copied.first * p_.width));
          std::memset(row + copied.last * p_.width, 0,
                      sizeof(float) * static_cast<size_t>((p_.x_cols - copied.last) * p_.width));
        }
        if (copied.first < copied.last)
          p_.micro.copy({x_at(c.image + m, y, copied.first * p_.pack_w - s.pad_left) + first,
                         p_.pack_w * s.c, to + copied.first * p_.width, p_.width,
                         p_.x_tile_floats(), copied.last - copied.first, floats, p_.width});
      }
  }

  // Runs of the window one after the other, so that what a copy writes past its run is overwritten
  // by the next.
  void pack_x_flat(const Chunk& c) {
    const ConvShape& s = p_.s;
    const int64_t span = s.groups == 1 && s.dilation_w == 1 ? s.kw : 1, pixel = p_.x_pixel();
    for (int64_t m = 0; m < c.images; ++m)
      for (int64_t r = 0; r < c.rows; ++r) {
        float* to = x_ + (m * c.rows + r) * p_.x_cols * pixel;
        for (int64_t ky = 0; ky < s.kh; ++ky)
          for (int64_t kx = 0; kx < s.kw; kx += span, to += span * s.i())
            pack_run(c.image + m, (c.row + r) * s.stride_h - s.pad_top + ky * s.dilation_h,
                     kx * s.dilation_w - s.pad_left, span, to);
      }
  }

  // One run of `span` pixels for each output column; the run of column 0 starts at (y, x).
  void pack_run(int64_t image, int64_t y, int64_t x, int64_t span, float* to) {
    const ConvShape& s = p_.s;
    const int64_t pixel = p_.x_pixel(), floats = span * s.i();
    const float* from = x_at(image, y, 0);
    const bool outside = y < 0 || y >= s.h;
    const Range whole = outside ? Range{0, 0} : inside(s.ow(), s.stride_w, x, s.w - span);
    const auto border = [&](int64_t col) {
      float* run = to + col * pixel;
      for (int64_t k = 0; k < span; ++k, run += s.i()) {
        const int64_t ix = x + col * s.stride_w + k;
        if (outside || ix < 0 || ix >= s.w)
          std::memset(run, 0, sizeof(float) * static_cast<size_t>(s.i()));
        else
          std::memcpy(run, from + ix * s.c, sizeof(float) * static_cast<size_t>(s.i()));
      }
    };
    for (int64_t col = 0; col < whole.first; ++col) border(col);
    if (whole.first < whole.last)
      p_.micro.copy({from + (x + whole.first * s.stride_w) * s.c, s.stride_w * s.c,
                     to + whole.first * pixel, pixel, 0, whole.last - whole.first, floats, floats});
    for (int64_t col = whole.last; col < s.ow(); ++col) border(col);
  }

  void multiply(const Chunk& c, float* gw, bool add) {
    for (int64_t xt = x_first_; xt < x_last_; ++xt)
      for (int64_t gt = g_first_; gt < g_last_; ++gt) {
        OuterPanel panel;
        place(c, xt, gt, panel);
        const int64_t first = gt * p_.tile.rows;
        panel.gw = gw + (group_ * group_outputs() + first) * p_.s.k() + xt * p_.width;
        panel.gw_row = p_.s.k();
        panel.count = std::min(p_.tile.rows, group_outputs() - first);
        panel.columns = std::min(p_.width, p_.depth - xt * p_.width);
        panel.add = add;
        if (p_.direct && xt == x_first_) std::copy_n(a_.next, 2, panel.next);
        if (a_.codes.q != nullptr) {
          p_.tile.panel_of_codes(panel);
          continue;
        }
        const float* const origin = panel.x;
        for (int64_t tap = 0; tap < p_.taps; ++tap, panel.gw += p_.depth) {
          const int64_t ky = tap / p_.s.kw, kx = tap % p_.s.kw;
          panel.x = origin + (ky * p_.s.dilation_h * p_.x_cols + kx * p_.s.dilation_w) * p_.width;
          p_.tile.panel(panel);
        }
      }
  }

  // Where the pixels of one tile of x and one of gy are, for the first tap.
  void place(const Chunk& c, int64_t xt, int64_t gt, OuterPanel& panel) const {
    if (p_.direct) {
      const int64_t x = x_offset(c.image, c.row, 0) + xt * p_.width;
      panel.codes = a_.codes;
      if (a_.codes.q != nullptr)
        panel.codes.q += x;
      else
        panel.x = a_.x + x;
      panel.x_pixel = p_.s.c, panel.x_row = panel.x_image = 0;
      panel.g = gy(c, gt);
      panel.g_pixel = p_.s.o;
      panel.images = panel.rows = 1, panel.cols = c.rows;
      return;
    }
    const int64_t row = p_.x_cols * p_.x_pixel();
    panel.x = p_.flat ? x_ + xt * p_.width : x_ + (xt - x_first_) * p_.x_tile_floats();
    panel.x_pixel = p_.walk_w * p_.x_pixel();
    panel.x_row = p_.walk_h * row;
    panel.x_image = p_.x_rows(c.rows) * row;
    panel.g = g_ + (gt - g_first_) * p_.g_tile_floats();
    panel.g_pixel = p_.micro.lanes;
    panel.images = c.images, panel.rows = c.rows, panel.cols = p_.s.ow();
  }

  const Plan& p_;
  const Operands a_;
  int64_t group_, x_first_, x_last_, g_first_, g_last_;
  Scratch memory_;
  float *g_, *x_;
};

void backward_weights(const ConvShape& shape, const Operands& operands, const OuterMicro& micro,
                      float* gw) {
  const Plan p(shape, micro);
  const int64_t floats = shape.o * shape.k(), splits = p.pixel_splits;
  const Scratch partial(sizeof(float) * static_cast<size_t>(splits > 1 ? splits * floats : 0));
  float* sums = splits > 1 ? partial.as<float>() : gw;
  parallel_tasks(p.tasks(), [&](int64_t task) {
    const int64_t g_split = task % p.g_splits, x_split = task / p.g_splits % p.x_splits;
    const int64_t split = task / (p.g_splits * p.x_splits) % splits,
                  group = task / (p.g_splits * p.x_splits * splits);
    Task(p, operands, group, x_split, g_split)
        .run(p.chunks * split / splits, p.chunks * (split + 1) / splits, sums + split * floats);
  });
  if (splits > 1) add_partial_sums(sums, splits, floats, gw);
}

}  // namespace

const OuterTile& choose_tile(const OuterMicro& m, int64_t channels) {
  const auto rows = [&](const OuterTile& t) { return ceil_div(channels, t.rows) * t.rows; };
  const OuterTile* best = &m.tiles[0];
  for (const OuterTile& smaller : m.tiles)
    if (rows(smaller) * 17 < rows(*best) * 16) best = &smaller;
  return *best;
}

void add_partial_sums(const float* sums, int64_t splits, int64_t floats, float* gw) {
  parallel_for(floats, 1 << 13, [&](int64_t begin, int64_t end) {
    std::memcpy(gw + begin, sums + begin, sizeof(float) * static_cast<size_t>(end - begin));
    for (int64_t split = 1; split < splits; ++split)
      for (int64_t i = begin; i < end; ++i) gw[i] += sums[split * floats + i];
  });
}

void outer_backward_weights(const ConvBackwardWeights<float>::Args& a, const OuterMicro& micro) {
  backward_weights(a.s, {a.x, {}, a.gy, {a.next[0], a.next[1]}}, micro, a.gw);
}

void outer_codes_backward_weights(const CodesBackwardWeights::Args& a, const OuterMicro& micro) {
  const int32_t flip = a.q_signed ? 128 : 0;
  const OuterCodes codes{static_cast<const uint8_t*>(a.q), flip, a.zero_point + flip, a.scale};
  backward_weights(a.s, {nullptr, codes, a.gy, {a.next[0], a.next[1]}}, micro, a.gw);
}

}  // namespace stair::kernels
