#include "kernels/conv/winograd.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/parallel.h"
#include "core/storage.h"

namespace stair::kernels {
namespace {

constexpr int64_t kTile = kWinogradTile, kPatch = kWinogradPatch, kPlaces = kWinogradPlaces,
                  kTaps = kWinogradWindow * kWinogradWindow;
// Tiles of a block: every transformed weight is read once a block, every transformed input once a
// panel of output channels.
constexpr int64_t kBlockTiles = 36;
// Tiles of a block of the backward pass to the weights, and channels of its sums, which stay in
// the L2 cache: [36][tiles][channels] of x and gy, and [36][channels][channels].
constexpr int64_t kSumTiles = 24;
constexpr int64_t kSumChannels = 128;
// Parts that a call is cut into where it has that many.
constexpr int64_t kTasks = 128;
constexpr int64_t kSumTasks = 16;
// Memory that partial sums of gw may take.
constexpr int64_t kPartialFloats = 2 << 20;
// Floats between rows of channels, so that rows of a power of two do not share their cache sets.
constexpr int64_t kSkew = 16;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
int64_t round_up(int64_t a, int64_t b) {
  return ceil_div(a, b) * b;
}
size_t float_bytes(int64_t count) {
  return sizeof(float) * static_cast<size_t>(count);
}

struct Picture {
  const float* x;
  int64_t n, h, w, c;
};

// The tiles of a grid of outputs, all images flattened.
struct Tiles {
  Tiles(int64_t n, int64_t h, int64_t w)
      : h(h), w(w), rows(ceil_div(h, kTile)), cols(ceil_div(w, kTile)), count(n * rows * cols) {}

  struct Place {
    int64_t image, y, x;
  };
  Place at(int64_t tile) const {
    return {tile / (rows * cols), tile / cols % rows * kTile, tile % cols * kTile};
  }

  int64_t h, w, rows, cols, count;
};

// Pointers to size x size pixels from (y, x) on; `zeros` for those outside the picture.
void point(const Picture& p, int64_t image, int64_t y, int64_t x, int64_t size, const float* zeros,
           const float** table) {
  for (int64_t i = 0; i < size; ++i)
    for (int64_t j = 0; j < size; ++j) {
      const int64_t iy = y + i, ix = x + j;
      const bool inside = iy >= 0 && iy < p.h && ix >= 0 && ix < p.w;
      *table++ = inside ? p.x + ((image * p.h + iy) * p.w + ix) * p.c : zeros;
    }
}

// A convolution of stride 1: forward, or the gradient of the data.
struct Problem {
  Picture in;
  int64_t pad_top, pad_left;
  float* out;
  int64_t h, w, o;  // of the output
  const float* weights;
  std::array<int64_t, kTaps> taps;  // offsets of weights
  int64_t depth_step, column_step;
  const float* bias;
};

// Transformed weights [panel][place][depth][width].
class TransformedWeights {
 public:
  TransformedWeights(const Problem& p, const WinogradMicro& m)
      : width(2 * m.product.lanes),
        panels(ceil_div(p.o, width)),
        panel_floats(kPlaces * p.in.c * width),
        memory_(float_bytes(panels * panel_floats)) {
    // Runs of the depth: enough parts for all threads where there are few panels.
    constexpr int64_t kRun = 64;
    const int64_t runs = ceil_div(p.in.c, kRun);
    parallel_tasks(panels * runs, [&](int64_t task) {
      const int64_t first = task / runs * width, begin = task % runs * kRun,
                    depth = std::min(kRun, p.in.c - begin), count = std::min(width, p.o - first),
                    wide = count > m.product.lanes ? width : m.product.lanes;
      const Scratch packed(float_bytes(kTaps * depth * wide));
      for (int64_t t = 0; t < kTaps; ++t)
        pack_weights({p.weights + p.taps[static_cast<size_t>(t)] + first * p.column_step +
                          begin * p.depth_step,
                      depth, p.depth_step, p.column_step, count, wide},
                     packed.as<float>() + t * depth * wide);
      m.weights({packed.as<float>(), depth * wide, panel(task / runs) + begin * wide, p.in.c * wide,
                 depth * wide});
    });
  }
  float* panel(int64_t index) const { return memory_.as<float>() + index * panel_floats; }

  const int64_t width, panels, panel_floats;

 private:
  Scratch memory_;
};

// What one task needs to run blocks of tiles through some panels.
class Block {
 public:
  Block(const Problem& p, const Tiles& tiles, const TransformedWeights& weights,
        const WinogradMicro& m)
      : p_(p),
        tiles_(tiles),
        weights_(weights),
        m_(m),
        capacity_(round_up(kBlockTiles, m.product.pixels)),
        in_row_(round_up(p.in.c, kSkew) + kSkew),
        out_row_(weights.width + kSkew),
        memory_(float_bytes(kPlaces * capacity_ * (in_row_ + out_row_) + in_row_) +
                sizeof(float*) * static_cast<size_t>(2 * capacity_)) {
    std::memset(zeros(), 0, float_bytes(in_row_));
    for (int64_t t = 0; t < capacity_; ++t) {
      in_table()[t] = in() + t * in_row_;
      out_table()[t] = out() + t * out_row_;
    }
  }

  void load(int64_t begin, int64_t end) {
    begin_ = begin, count_ = end - begin;
    const float* table[kPlaces];
    for (int64_t t = 0; t < count_; ++t) {
      const Tiles::Place at = tiles_.at(begin + t);
      point(p_.in, at.image, at.y - p_.pad_top, at.x - p_.pad_left, kPatch, zeros(), table);
      m_.input({table, 0, p_.in.c, in() + t * in_row_, capacity_ * in_row_});
    }
  }

  void run(int64_t panel) {
    const int64_t first = panel * weights_.width, columns = std::min(weights_.width, p_.o - first),
                  wide = columns > m_.product.lanes ? weights_.width : m_.product.lanes;
    for (int64_t place = 0; place < kPlaces; ++place)
      m_.product.panel({in_table(), out_table(), weights_.panel(panel) + place * p_.in.c * wide,
                        nullptr, count_, 1, p_.in.c, place * capacity_ * in_row_,
                        place * capacity_ * out_row_, columns, m_.product.pixels * in_row_});
    for (int64_t t = 0; t < count_; ++t) {
      const Tiles::Place at = tiles_.at(begin_ + t);
      m_.output({out() + t * out_row_, capacity_ * out_row_, columns,
                 p_.bias != nullptr ? p_.bias + first : nullptr,
                 p_.out + ((at.image * p_.h + at.y) * p_.w + at.x) * p_.o + first, p_.w * p_.o,
                 p_.o, std::min(kTile, p_.h - at.y), std::min(kTile, p_.w - at.x)});
    }
  }

 private:
  // Tables of the rows come first: 2 * capacity_ pointers.
  const float** in_table() const { return memory_.as<const float*>(); }
  float** out_table() const { return memory_.as<float*>() + capacity_; }
  float* in() const { return reinterpret_cast<float*>(out_table() + capacity_); }
  float* out() const { return in() + kPlaces * capacity_ * in_row_; }
  float* zeros() const { return out() + kPlaces * capacity_ * out_row_; }

  const Problem& p_;
  const Tiles& tiles_;
  const TransformedWeights& weights_;
  const WinogradMicro& m_;
  int64_t capacity_, in_row_, out_row_, begin_ = 0, count_ = 0;
  Scratch memory_;
};

void run_problem(const Problem& p, const WinogradMicro& m) {
  const TransformedWeights weights(p, m);
  const Tiles tiles(p.in.n, p.h, p.w);
  const int64_t size = round_up(kBlockTiles, m.product.pixels);
  const int64_t blocks = ceil_div(tiles.count, size), block_tasks = std::min(blocks, kTasks);
  const int64_t panel_tasks =
      std::min(weights.panels, std::max<int64_t>(1, kSumTasks / block_tasks));
  parallel_tasks(block_tasks * panel_tasks, [&](int64_t task) {
    const int64_t bt = task / panel_tasks, pt = task % panel_tasks;
    Block block(p, tiles, weights, m);
    for (int64_t b = blocks * bt / block_tasks; b < blocks * (bt + 1) / block_tasks; ++b) {
      block.load(b * size, std::min((b + 1) * size, tiles.count));
      for (int64_t panel = weights.panels * pt / panel_tasks;
           panel < weights.panels * (pt + 1) / panel_tasks; ++panel)
        block.run(panel);
    }
  });
}

// How the backward pass to the weights is cut; depends on the shape alone.
struct SumPlan {
  SumPlan(const ConvShape& s, const WinogradMicro& m)
      : s(s),
        tiles(s.n, s.oh(), s.ow()),
        tile(choose_tile(m.outer, s.o)),
        c_blocks(ceil_div(s.c, kSumChannels)),
        c_size(round_up(ceil_div(s.c, c_blocks), 2 * m.outer.lanes)),
        o_blocks(ceil_div(s.o, round_up(kSumChannels, tile.rows))),
        o_size(round_up(ceil_div(s.o, o_blocks), tile.rows)),
        chunks(ceil_div(tiles.count, kSumTiles)),
        splits(std::clamp<int64_t>(std::min(kSumTasks / (c_blocks * o_blocks), chunks), 1,
                                   std::max<int64_t>(1, kPartialFloats / (s.o * s.k())))),
        x_row(c_size + kSkew),
        g_row(round_up(o_size, kSkew) + kSkew) {}

  int64_t tasks() const { return splits * c_blocks * o_blocks; }

  const ConvShape s;
  const Tiles tiles;
  const OuterTile& tile;
  int64_t c_blocks, c_size, o_blocks, o_size;
  int64_t chunks, splits;
  int64_t x_row, g_row;
};

// Sums a range of chunks of tiles into one block of gw.
class Sum {
 public:
  Sum(const SumPlan& plan, const ConvBackwardWeights<float>::Args& a, const WinogradMicro& m,
      int64_t c_block, int64_t o_block)
      : p_(plan),
        a_(a),
        m_(m),
        c_first_(c_block * plan.c_size),
        c_count_(std::min(plan.c_size, plan.s.c - c_first_)),
        o_first_(o_block * plan.o_size),
        o_count_(std::min(plan.o_size, plan.s.o - o_first_)),
        memory_(float_bytes(
            kPlaces * (kSumTiles * (plan.x_row + plan.g_row) + plan.o_size * plan.c_size) +
            std::max(plan.s.c, plan.s.o))) {
    std::memset(zeros(), 0, float_bytes(std::max(plan.s.c, plan.s.o)));
  }

  void run(int64_t first_chunk, int64_t last_chunk, float* gw) {
    for (int64_t chunk = first_chunk; chunk < last_chunk; ++chunk) {
      const int64_t begin = chunk * kSumTiles, count = std::min(kSumTiles, p_.tiles.count - begin);
      load(begin, count);
      multiply(count, chunk > first_chunk);
    }
    for (int64_t o = 0; o < o_count_; ++o)
      m_.weights_back({sums() + o * p_.c_size, p_.o_size * p_.c_size,
                       gw + (o_first_ + o) * p_.s.k() + c_first_, p_.s.c, c_count_});
  }

 private:
  void load(int64_t begin, int64_t count) {
    const ConvShape& s = p_.s;
    const float* table[kPlaces];
    for (int64_t t = 0; t < count; ++t) {
      const Tiles::Place at = p_.tiles.at(begin + t);
      point({a_.x, s.n, s.h, s.w, s.c}, at.image, at.y - s.pad_top, at.x - s.pad_left, kPatch,
            zeros(), table);
      m_.input({table, c_first_, c_count_, x() + t * p_.x_row, kSumTiles * p_.x_row});
      point({a_.gy, s.n, p_.tiles.h, p_.tiles.w, s.o}, at.image, at.y, at.x, kTile, zeros(), table);
      m_.gradient({table, o_first_, o_count_, g() + t * p_.g_row, kSumTiles * p_.g_row});
    }
  }

  void multiply(int64_t count, bool add) {
    const int64_t width = 2 * m_.outer.lanes;
    for (int64_t place = 0; place < kPlaces; ++place)
      for (int64_t c = 0; c < c_count_; c += width)
        for (int64_t o = 0; o < o_count_; o += p_.tile.rows)
          p_.tile.panel({x() + place * kSumTiles * p_.x_row + c, p_.x_row, 0, 0,
                         g() + place * kSumTiles * p_.g_row + o, p_.g_row, 1, 1, count,
                         sums() + (place * p_.o_size + o) * p_.c_size + c, p_.c_size,
                         std::min(p_.tile.rows, o_count_ - o), std::min(width, c_count_ - c), add});
  }

  float* x() const { return memory_.as<float>(); }
  float* g() const { return x() + kPlaces * kSumTiles * p_.x_row; }
  float* sums() const { return g() + kPlaces * kSumTiles * p_.g_row; }
  float* zeros() const { return sums() + kPlaces * p_.o_size * p_.c_size; }

  const SumPlan& p_;
  const ConvBackwardWeights<float>::Args& a_;
  const WinogradMicro& m_;
  int64_t c_first_, c_count_, o_first_, o_count_;
  Scratch memory_;
};

}  // namespace

bool winograd_pays(const ConvShape& s) {
  if (s.kh != kWinogradWindow || s.kw != kWinogradWindow || s.stride_h != 1 || s.stride_w != 1 ||
      s.dilation_h != 1 || s.dilation_w != 1 || s.groups != 1 || s.c < 16 || s.o < 16)
    return false;
  const Tiles tiles(1, s.oh(), s.ow());
  return tiles.count * kPlaces * 2 <= s.oh() * s.ow() * kTaps;
}

void winograd_forward(const ConvForward<float>::Args& a, const WinogradMicro& micro) {
  const ConvShape& s = a.s;
  Problem p{{a.x, s.n, s.h, s.w, s.c},
            s.pad_top,
            s.pad_left,
            a.y,
            s.oh(),
            s.ow(),
            s.o,
            a.w,
            {},
            1,
            s.k(),
            a.bias};
  for (int64_t t = 0; t < kTaps; ++t) p.taps[static_cast<size_t>(t)] = t * s.c;
  run_problem(p, micro);
}

void winograd_backward_data(const ConvBackwardData<float>::Args& a, const WinogradMicro& micro) {
  const ConvShape& s = a.s;
  Problem p{{a.gy, s.n, s.oh(), s.ow(), s.o},
            kWinogradWindow - 1 - s.pad_top,
            kWinogradWindow - 1 - s.pad_left,
            a.gx,
            s.h,
            s.w,
            s.c,
            a.w,
            {},
            s.k(),
            1,
            nullptr};
  for (int64_t t = 0; t < kTaps; ++t) p.taps[static_cast<size_t>(t)] = (kTaps - 1 - t) * s.c;
  run_problem(p, micro);
}

void winograd_backward_weights(const ConvBackwardWeights<float>::Args& a,
                               const WinogradMicro& micro) {
  const SumPlan p(a.s, micro);
  const int64_t floats = a.s.o * a.s.k(), blocks = p.c_blocks * p.o_blocks;
  const Scratch partial(float_bytes(p.splits > 1 ? p.splits * floats : 0));
  float* sums = p.splits > 1 ? partial.as<float>() : a.gw;
  parallel_tasks(p.tasks(), [&](int64_t task) {
    const int64_t split = task / blocks, block = task % blocks;
    Sum(p, a, micro, block % p.c_blocks, block / p.c_blocks)
        .run(p.chunks * split / p.splits, p.chunks * (split + 1) / p.splits, sums + split * floats);
  });
  if (p.splits > 1) add_partial_sums(sums, p.splits, floats, a.gw);
}

}  // namespace stair::kernels
