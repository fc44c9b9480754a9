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
// Parts that a call is cut into where it has that many.
constexpr int64_t kTasks = 32;
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
  Plan(const ConvShape& shape, const OuterMicro& m) : s(shape), micro(m) {
    // With few input channels the whole window is packed beside each other, so that it fills the
    // vectors.
    flat = s.i() < micro.lanes && s.kh * s.kw > 1;
    taps = flat ? 1 : s.kh * s.kw;
    depth = flat ? s.k() : s.i();
    width = 2 * micro.lanes;
    x_tiles = ceil_div(depth, width);
    g_tiles = ceil_div(s.o / s.groups, micro.rows);
    plan_chunks();
    plan_x();
    plan_tasks();
  }

  const ConvShape s;
  const OuterMicro& micro;
  bool flat;
  int64_t taps, depth;  // tiles of gw are cut from [O][taps][depth]
  int64_t width;        // of a tile of x
  int64_t x_tiles, g_tiles;
  int64_t chunk_images, chunk_rows, row_chunks, chunks;
  // x is packed as [tile][image][row][col][width], or flat as [image][row][col][x_pixel] with tiles
  // beside each other. A packed row or column stands for `pack` of the picture; an output pixel
  // walks over `walk` packed ones.
  int64_t pack_h, pack_w, walk_h, walk_w, x_cols;
  int64_t pixel_splits, tile_splits, tile_group;

  int64_t x_rows(int64_t rows) const {
    return flat ? rows : (rows - 1) * walk_h + (s.kh - 1) * s.dilation_h + 1;
  }
  int64_t x_pixel() const { return flat ? x_tiles * width + micro.lanes : width; }
  int64_t x_tile_floats() const { return chunk_images * x_rows(chunk_rows) * x_cols * x_pixel(); }
  int64_t x_floats() const { return (flat ? 1 : tile_group) * x_tile_floats() + width; }
  int64_t g_tile_floats() const { return chunk_images * chunk_rows * s.ow() * micro.rows; }
  int64_t g_floats() const { return g_tiles * g_tile_floats() + micro.lanes; }

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
    tile_splits = std::min(x_tiles, ceil_div(wanted, pixel_splits));
    tile_group = ceil_div(x_tiles, tile_splits);
    tile_splits = ceil_div(x_tiles, tile_group);
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

// Sums one range of chunks into the tiles of one group of gw.
class Task {
 public:
  Task(const Plan& plan, const ConvBackwardWeights<float>::Args& args, int64_t group,
       int64_t first_tile)
      : p_(plan),
        a_(args),
        group_(group),
        first_tile_(first_tile),
        last_tile_(std::min(first_tile + plan.tile_group, plan.x_tiles)),
        memory_(sizeof(float) * static_cast<size_t>(plan.x_floats() + plan.g_floats())),
        x_(memory_.as<float>()),
        g_(x_ + plan.x_floats()) {}

  void run(int64_t first_chunk, int64_t last_chunk, float* gw) {
    for (int64_t i = first_chunk; i < last_chunk; ++i) {
      const Chunk c = chunk_at(p_, i);
      pack_g(c);
      p_.flat ? pack_x_flat(c) : pack_x(c);
      multiply(c, gw, i > first_chunk);
    }
  }

 private:
  void pack_g(const Chunk& c) {
    const ConvShape& s = p_.s;
    const int64_t per_group = s.o / s.groups, image = s.oh() * s.ow(), pixels = c.rows * s.ow();
    for (int64_t tile = 0; tile < p_.g_tiles; ++tile) {
      const int64_t first = tile * p_.micro.rows,
                    count = std::min(p_.micro.rows, per_group - first);
      for (int64_t m = 0; m < c.images; ++m)
        p_.micro.copy(
            {a_.gy + ((c.image + m) * image + c.row * s.ow()) * s.o + group_ * per_group + first,
             s.o, g_ + tile * p_.g_tile_floats() + m * pixels * p_.micro.rows, p_.micro.rows,
             pixels, count});
    }
  }

  void pack_x(const Chunk& c) {
    const ConvShape& s = p_.s;
    const Range cols = inside(p_.x_cols, p_.pack_w, -s.pad_left, s.w - 1);
    float* row_to = x_;
    for (int64_t tile = first_tile_; tile < last_tile_; ++tile) {
      row_to = x_ + (tile - first_tile_) * p_.x_tile_floats();
      const int64_t width = std::min(p_.width, p_.depth - tile * p_.width);
      for (int64_t m = 0; m < c.images; ++m)
        for (int64_t r = 0; r < p_.x_rows(c.rows); ++r, row_to += p_.x_cols * p_.width) {
          const int64_t y = c.row * s.stride_h + r * p_.pack_h - s.pad_top;
          const bool outside = y < 0 || y >= s.h;
          const int64_t first = outside ? p_.x_cols : cols.first,
                        last = outside ? p_.x_cols : cols.last;
          std::memset(row_to, 0, sizeof(float) * static_cast<size_t>(first * p_.width));
          if (first < last) {
            const int64_t x = first * p_.pack_w - s.pad_left;
            p_.micro.copy({a_.x + (((c.image + m) * s.h + y) * s.w + x) * s.c + group_ * s.i() +
                               tile * p_.width,
                           p_.pack_w * s.c, row_to + first * p_.width, p_.width, last - first,
                           width});
          }
          std::memset(row_to + last * p_.width, 0,
                      sizeof(float) * static_cast<size_t>((p_.x_cols - last) * p_.width));
        }
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
    const float* from = a_.x + (image * s.h + y) * s.w * s.c + group_ * s.i();
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
                     to + whole.first * pixel, pixel, whole.last - whole.first, floats});
    for (int64_t col = whole.last; col < s.ow(); ++col) border(col);
  }

  void multiply(const Chunk& c, float* gw, bool add) {
    const ConvShape& s = p_.s;
    const int64_t per_group = s.o / s.groups, row = p_.x_cols * p_.x_pixel(),
                  rows = p_.x_rows(c.rows);
    for (int64_t tile = first_tile_; tile < last_tile_; ++tile)
      for (int64_t gt = 0; gt < p_.g_tiles; ++gt)
        for (int64_t tap = 0; tap < p_.taps; ++tap) {
          const int64_t ky = tap / s.kw, kx = tap % s.kw, first = gt * p_.micro.rows;
          OuterPanel panel;
          panel.x = p_.flat ? x_ + tile * p_.width
                            : x_ + (tile - first_tile_) * p_.x_tile_floats() +
                                  (ky * s.dilation_h * p_.x_cols + kx * s.dilation_w) * p_.width;
          panel.x_pixel = p_.walk_w * p_.x_pixel();
          panel.x_row = p_.walk_h * row;
          panel.x_image = rows * row;
          panel.g = g_ + gt * p_.g_tile_floats();
          panel.images = c.images, panel.rows = c.rows, panel.cols = s.ow();
          panel.gw = gw + (group_ * per_group + first) * s.k() + tap * p_.depth + tile * p_.width;
          panel.gw_row = s.k();
          panel.count = std::min(p_.micro.rows, per_group - first);
          panel.columns = std::min(p_.width, p_.depth - tile * p_.width);
          panel.add = add;
          p_.micro.panel(panel);
        }
  }

  const Plan& p_;
  const ConvBackwardWeights<float>::Args& a_;
  int64_t group_, first_tile_, last_tile_;
  Scratch memory_;
  float *x_, *g_;
};

}  // namespace

void outer_backward_weights(const ConvBackwardWeights<float>::Args& a, const OuterMicro& micro) {
  const Plan p(a.s, micro);
  const int64_t floats = a.s.o * a.s.k(), splits = p.pixel_splits;
  const Scratch partial(sizeof(float) * static_cast<size_t>(splits > 1 ? splits * floats : 0));
  float* sums = splits > 1 ? partial.as<float>() : a.gw;
  parallel_tasks(a.s.groups * splits * p.tile_splits, [&](int64_t task) {
    const int64_t group = task / (splits * p.tile_splits), split = task / p.tile_splits % splits;
    Task(p, a, group, task % p.tile_splits * p.tile_group)
        .run(p.chunks * split / splits, p.chunks * (split + 1) / splits, sums + split * floats);
  });
  if (splits == 1) return;
  parallel_for(floats, 1 << 13, [&](int64_t begin, int64_t end) {
    std::memcpy(a.gw + begin, sums + begin, sizeof(float) * static_cast<size_t>(end - begin));
    for (int64_t split = 1; split < splits; ++split)
      for (int64_t i = begin; i < end; ++i) a.gw[i] += sums[split * floats + i];
  });
}

}  // namespace stair::kernels
