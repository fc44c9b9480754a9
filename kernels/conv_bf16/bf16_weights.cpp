#include <cstring>
#include <vector>

#include "core/parallel.h"
#include "core/storage.h"
#include "kernels/conv_bf16/bf16_gemm.h"
#include "kernels/conv_bf16/halo_grid.h"

namespace stair::kernels {
namespace {

// Parts that a call is cut into where it has that many.
constexpr int64_t kTasks = 16;
// Memory that partial sums of gw may take.
constexpr int64_t kPartialFloats = 2 << 20;
// With fewer input channels the planes of all taps are copied beside each other, which fills the
// tiles.
constexpr int64_t kFewChannels = 8;

int64_t floor_div(int64_t a, int64_t b) {
  return a >= 0 ? a / b : -ceil_div(-a, b);
}

// Every stride-th pixel of x, from pixel (h, w) on: what a tap of a strided convolution reads.
struct Phase {
  int64_t h, w;
  bool operator==(const Phase&) const = default;
};

struct Tap {
  size_t phase;
  int64_t dy, dx;
};

// How a call is cut; depends on the shape alone.
struct Plan {
  Plan(const ConvBf16BackwardWeights::Args& args, const Bf16Unit& u)
      : a(args), s(args.s.flattened()), unit(u), outputs(s.o / s.groups), rows(s.k()) {
    grid.images = s.n;
    grid.rows.grid = s.oh(), grid.cols.grid = s.ow();
    grid.rows.source = ceil_div(s.h, s.stride_h), grid.cols.source = ceil_div(s.w, s.stride_w);
    for (int64_t ky = 0; ky < s.kh; ++ky)
      for (int64_t kx = 0; kx < s.kw; ++kx)
        add_tap(ky * s.dilation_h - s.pad_top, kx * s.dilation_w - s.pad_left);
    copies = s.i() < kFewChannels && taps.size() > 1;
    grid.cut(unit.pixels);
    panels = ceil_div(outputs, kBf16Columns);
    plan_tasks();
  }

  void add_tap(int64_t y, int64_t x) {
    const int64_t dy = floor_div(y, s.stride_h), dx = floor_div(x, s.stride_w);
    const Phase phase{y - dy * s.stride_h, x - dx * s.stride_w};
    const auto found = std::find(phases.begin(), phases.end(), phase);
    taps.push_back({static_cast<size_t>(found - phases.begin()), dy, dx});
    if (found == phases.end()) phases.push_back(phase);
    grid.rows.include(dy), grid.cols.include(dx);
  }

  // First by pixels, then by channels, whose pixels are packed again in each part.
  void plan_tasks() {
    const int64_t wanted = ceil_div(kTasks, s.groups);
    splits = std::clamp<int64_t>(kPartialFloats / (s.groups * split_floats()), 1,
                                 std::min(wanted, grid.chunks()));
    x_parts = g_parts = 1;
    for (;;) {
      const int64_t x = ceil_div(s.i(), x_parts), g = ceil_div(panels, g_parts) * kBf16Columns;
      const int64_t bytes = 2 * grid.length(grid.largest_chunk()) *
                            (x * static_cast<int64_t>(phases.size()) + g * a.terms);
      if (splits * x_parts * g_parts >= wanted && bytes <= unit.cache) break;
      const bool x_can = !copies && x >= 2 * unit.rows, g_can = g > kBf16Columns;
      if (x_can && (x >= g || !g_can))
        x_parts *= 2;
      else if (g_can)
        g_parts = std::min(2 * g_parts, panels);
      else
        break;
    }
  }

  int64_t depth(const HaloChunk& chunk) const {
    return ceil_div(grid.length(chunk), unit.depth) * unit.depth;
  }
  // Of the sums [tap][input channel][output channel] of one group.
  int64_t split_floats() const { return rows * panels * kBf16Columns; }

  const ConvBf16BackwardWeights::Args& a;
  ConvShape s;
  const Bf16Unit& unit;
  int64_t outputs, rows, panels = 1;  // of a group
  HaloGrid grid;
  std::vector<Phase> phases;
  std::vector<Tap> taps;
  bool copies = false;
  int64_t splits = 1;                // of the chunks
  int64_t x_parts = 1, g_parts = 1;  // of the input channels and of the panels
};

// The sums of some chunks for some channels of one group.
class Task {
 public:
  Task(const Plan& plan, int64_t group, int64_t x_part, int64_t g_part)
      : p_(plan),
        group_(group),
        x_first_(plan.s.i() * x_part / plan.x_parts),
        x_count_(plan.s.i() * (x_part + 1) / plan.x_parts - x_first_),
        g_first_(plan.panels * g_part / plan.g_parts),
        g_last_(plan.panels * (g_part + 1) / plan.g_parts),
        depth_(plan.depth(plan.grid.largest_chunk())),
        plane_(plan.grid.offset(plan.grid.rows.hi, plan.grid.cols.hi) + depth_),
        panel_(depth_ * kBf16Columns),
        planes_(bytes((phases() * x_count_ + plan.unit.rows) * plane_)),
        copied_(bytes(plan.copies ? (plan.rows + plan.unit.rows) * depth_ : 0)),
        pairs_(bytes((g_last_ - g_first_) * plan.a.terms * panel_)),
        pixels_(sizeof(float*) * static_cast<size_t>(depth_)),
        zeros_(sizeof(float) * static_cast<size_t>(plan.s.o)) {
    std::memset(zeros_.as<float>(), 0, sizeof(float) * static_cast<size_t>(plan.s.o));
  }

  void run(int64_t first_chunk, int64_t last_chunk, float* sums) {
    for (int64_t i = first_chunk; i < last_chunk; ++i) {
      const HaloChunk chunk = p_.grid.chunk(i);
      pack_gradient(chunk);
      for (size_t phase = 0; phase < p_.phases.size(); ++phase) pack_codes(chunk, phase);
      if (p_.copies) copy_taps(chunk);
      for (int64_t panel = g_first_; panel < g_last_; ++panel)
        multiply(chunk, panel, sums, i > first_chunk);
    }
  }

 private:
  static size_t bytes(int64_t elements) { return 2 * static_cast<size_t>(elements); }
  int64_t phases() const { return static_cast<int64_t>(p_.phases.size()); }
  uint16_t* plane(size_t phase) const {
    return planes_.as<uint16_t>() + static_cast<int64_t>(phase) * x_count_ * plane_;
  }

  // Pixels between the lines are zeros, and so add nothing.
  void pack_gradient(const HaloChunk& c) const {
    const ConvShape& s = p_.s;
    const float** pixel = pixels_.as<const float*>();
    const int64_t depth = p_.depth(c);
    std::fill(pixel, pixel + depth, zeros_.as<float>());
    for (int64_t image = 0; image < c.images; ++image)
      for (int64_t row = 0; row < c.rows; ++row) {
        const float** to = pixel + p_.grid.number(image, row);
        const float* gy = p_.a.gy + ((c.image + image) * s.oh() + c.row + row) * s.ow() * s.o;
        for (int64_t col = 0; col < s.ow(); ++col) to[col] = gy + col * s.o;
      }
    for (int64_t panel = g_first_; panel < g_last_; ++panel) {
      const int64_t column = panel * kBf16Columns;
      p_.unit.pair_pixels({pixel, group_ * p_.outputs + column, depth / 2,
                           std::min(kBf16Columns, p_.outputs - column), p_.a.terms, pairs(panel, 0),
                           panel_});
    }
  }
  uint16_t* pairs(int64_t panel, int term) const {
    return pairs_.as<uint16_t>() + ((panel - g_first_) * p_.a.terms + term) * panel_;
  }

  // One phase of x as planes. All places must be finite: what they are multiplied with is zero.
  void pack_codes(const HaloChunk& c, size_t index) const {
    const ConvShape& s = p_.s;
    const Phase& phase = p_.phases[index];
    const int64_t pitch = p_.grid.cols.pitch(), lines = p_.grid.lines(c);
    const int64_t height = std::min(p_.grid.rows.used(), ceil_div(s.h - phase.h, s.stride_h)),
                  width = std::clamp<int64_t>(ceil_div(s.w - phase.w, s.stride_w), 0,
                                              p_.grid.cols.used());
    // Lines without a gap between them are one.
    const bool dense = pitch == s.w && width == pitch && s.stride_h == 1 && s.stride_w == 1;
    CodePlanes run{nullptr,  s.stride_w * s.c, p_.a.x_signed, p_.a.x_zero_point, 0, 0,
                   x_count_, plane(index),     plane_};
    const auto add = [&](int64_t pixels, int64_t zeros) {
      run.pixels = pixels, run.zeros = zeros;
      p_.unit.code_planes(run);
      run.to += pixels + zeros;
    };
    add(0, p_.grid.cols.lead());
    for (int64_t i = 0; i < lines; ++i) {
      const auto [image, y] = p_.grid.line(c, i);
      if (y < 0 || y >= height || width == 0) {
        add(0, pitch);
        continue;
      }
      run.from = static_cast<const uint8_t*>(p_.a.x) +
                 ((image * s.h + phase.h + y * s.stride_h) * s.w + phase.w) * s.c + group_ * s.i() +
                 x_first_;
      const int64_t joined = dense ? std::min(lines - i, height - y) : 1;
      add(joined * width, joined * (pitch - width));
      i += joined - 1;
    }
    add(0, p_.grid.cols.hi + p_.depth(c) - p_.grid.length(c));
  }

  // [tap][channel][pixel]
  void copy_taps(const HaloChunk& c) const {
    uint16_t* to = copied_.as<uint16_t>();
    for (const Tap& tap : p_.taps)
      for (int64_t i = 0; i < p_.s.i(); ++i, to += depth_)
        std::memcpy(to, plane(tap.phase) + i * plane_ + p_.grid.offset(tap.dy, tap.dx),
                    bytes(p_.depth(c)));
  }

  void multiply(const HaloChunk& c, int64_t panel, float* sums, bool add) const {
    const int64_t columns = std::min(kBf16Columns, p_.outputs - panel * kBf16Columns);
    const int64_t sums_row = p_.panels * kBf16Columns;
    const auto product = [&](const uint16_t* a, int64_t a_row, int64_t row, int64_t rows) {
      const Bf16Product::Part parts[] = {{a, pairs(panel, 0)}, {a, pairs(panel, p_.a.terms - 1)}};
      p_.unit.multiply({parts, p_.a.terms, p_.depth(c), a_row, rows, columns,
                        sums + row * sums_row + panel * kBf16Columns, sums_row, add});
    };
    if (p_.copies) return product(copied_.as<uint16_t>(), depth_, 0, p_.rows);
    int64_t row = x_first_;
    for (const Tap& tap : p_.taps) {
      product(plane(tap.phase) + p_.grid.offset(tap.dy, tap.dx), plane_, row, x_count_);
      row += p_.s.i();
    }
  }

  const Plan& p_;
  int64_t group_, x_first_, x_count_, g_first_, g_last_;
  int64_t depth_, plane_, panel_;
  Scratch planes_, copied_, pairs_, pixels_, zeros_;
};

}  // namespace

void bf16_backward_weights(const ConvBf16BackwardWeights::Args& a, const Bf16Unit& unit) {
  const Plan p(a, unit);
  const ConvShape& s = p.s;
  const int64_t split = s.groups * p.split_floats();
  const Scratch partial(sizeof(float) * static_cast<size_t>(p.splits * split));
  const int64_t parts = p.x_parts * p.g_parts;
  parallel_tasks(s.groups * p.splits * parts, [&](int64_t task) {
    const int64_t index = task / parts % p.splits, group = task / (parts * p.splits);
    Task(p, group, task % parts / p.g_parts, task % p.g_parts)
        .run(p.grid.chunks() * index / p.splits, p.grid.chunks() * (index + 1) / p.splits,
             partial.as<float>() + index * split + group * p.split_floats());
  });
  parallel_tasks(s.groups * p.panels, [&](int64_t task) {
    const int64_t group = task / p.panels, column = task % p.panels * kBf16Columns;
    unit.store_weights({partial.as<float>() + group * p.split_floats() + column, p.splits, split,
                        p.panels * kBf16Columns, p.rows, std::min(kBf16Columns, p.outputs - column),
                        a.x_scale, a.gw + (group * p.outputs + column) * s.k(), s.k()});
  });
}

}  // namespace stair::kernels
