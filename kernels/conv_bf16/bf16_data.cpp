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

struct Tap {
  int64_t dy, dx;
  int64_t window;  // ky * kw + kx
};

// Pixels of gx at (h + stride_h * row, w + stride_w * column): all use the same taps.
struct Phase {
  int64_t h, w, rows, cols;
  std::vector<Tap> taps;
  int64_t first_tap;  // among the taps of all phases
};

// The taps of one axis that reach output phase `phase`, as (index, distance).
std::vector<std::pair<int64_t, int64_t>> axis_taps(int64_t phase, int64_t window, int64_t stride,
                                                   int64_t pad, int64_t dilation) {
  std::vector<std::pair<int64_t, int64_t>> taps;
  for (int64_t k = 0; k < window; ++k)
    if (const int64_t distance = phase + pad - k * dilation; distance % stride == 0)
      taps.emplace_back(k, distance / stride);
  return taps;
}

// How a call is cut; depends on the shape alone.
struct Plan {
  Plan(const ConvBf16BackwardData::Args& args, const Bf16Unit& u)
      : a(args),
        s(args.s.flattened()),
        unit(u),
        depth(ceil_div(s.o / s.groups, u.depth) * u.depth),
        panels(ceil_div(s.i(), kBf16Columns)),
        panel_size(s.kh * s.kw * depth * kBf16Columns) {
    grid.images = s.n;
    grid.rows.source = s.oh(), grid.cols.source = s.ow();
    grid.rows.grid = ceil_div(s.h, s.stride_h), grid.cols.grid = ceil_div(s.w, s.stride_w);
    int64_t taps = 0;
    for (int64_t h = 0; h < std::min(s.stride_h, s.h); ++h)
      for (int64_t w = 0; w < std::min(s.stride_w, s.w); ++w) {
        phases.push_back(phase(h, w, taps));
        taps += static_cast<int64_t>(phases.back().taps.size());
      }
    grid.cut(std::clamp(unit.cache / (depth * 2 * a.terms), unit.rows, unit.pixels));
    parts = std::min(panels, ceil_div(kTasks, grid.chunks() * s.groups));
  }

  Phase phase(int64_t h, int64_t w, int64_t first_tap) {
    Phase p{h, w, ceil_div(s.h - h, s.stride_h), ceil_div(s.w - w, s.stride_w), {}, first_tap};
    for (const auto& [ky, dy] : axis_taps(h, s.kh, s.stride_h, s.pad_top, s.dilation_h))
      for (const auto& [kx, dx] : axis_taps(w, s.kw, s.stride_w, s.pad_left, s.dilation_w)) {
        p.taps.push_back({dy, dx, ky * s.kw + kx});
        grid.rows.include(dy), grid.cols.include(dx);
      }
    return p;
  }

  const ConvBf16BackwardData::Args& a;
  ConvShape s;
  const Bf16Unit& unit;
  int64_t depth;       // of a tap
  int64_t panels;      // of a group
  int64_t panel_size;  // of all taps
  HaloGrid grid;
  std::vector<Phase> phases;
  int64_t parts;  // of the panels, for calls with few chunks
};

// [group][panel][tap][depth / 2][32][2]
void pack(const Plan& p, uint16_t* to) {
  const ConvShape& s = p.s;
  const int64_t outputs = s.o / s.groups;
  parallel_tasks(s.groups * p.panels, [&](int64_t task) {
    const int64_t group = task / p.panels, column = task % p.panels * kBf16Columns;
    uint16_t* panel = to + task * p.panel_size;
    for (const Phase& phase : p.phases)
      for (const Tap& tap : phase.taps) {
        p.unit.pack_weights({p.a.w + group * outputs * s.k() + tap.window * s.i() + column, s.k(),
                             outputs, p.depth, std::min(kBf16Columns, s.i() - column), panel});
        panel += p.depth * kBf16Columns;
      }
  });
}

// One chunk of the gradient, and its products with the panels of one group.
class Task {
 public:
  Task(const Plan& plan, const uint16_t* weights, int64_t chunk, int64_t group)
      : p_(plan),
        weights_(weights),
        chunk_(plan.grid.chunk(chunk)),
        group_(group),
        term_((plan.grid.places(chunk_) + plan.unit.rows) * plan.depth),
        a_(static_cast<size_t>(2 * plan.a.terms * term_)),
        sums_(static_cast<size_t>(4 * kBf16Columns * plan.grid.length(chunk_))) {}

  void run(int64_t first_panel, int64_t last_panel) {
    split();
    std::vector<Bf16Product::Part> parts;
    for (const Phase& phase : p_.phases)
      if (const int64_t rows = std::min(chunk_.rows, phase.rows - chunk_.row); rows > 0)
        for (int64_t panel = first_panel; panel < last_panel; ++panel) {
          place(phase, panel, parts);
          const int64_t count = p_.grid.number(chunk_.images - 1, rows - 1) + phase.cols;
          const int64_t columns = std::min(kBf16Columns, p_.s.i() - panel * kBf16Columns);
          p_.unit.multiply({parts.data(), static_cast<int64_t>(parts.size()), p_.depth, p_.depth,
                            count, columns, sums_.as<float>(), kBf16Columns, false});
          store(phase, rows, panel, columns);
        }
  }

 private:
  // The terms of the pixels of gy, zeros around them.
  void split() const {
    const ConvShape& s = p_.s;
    const int64_t outputs = s.o / s.groups, pitch = p_.grid.cols.pitch(),
                  width = p_.grid.cols.used(), height = p_.grid.rows.used();
    // Lines without a gap between them are one.
    const int64_t most =
        p_.grid.cols.lead() == 0 && pitch == s.ow() && width == pitch ? p_.grid.lines(chunk_) : 1;
    const auto zero = [&](int64_t place, int64_t count) {
      for (int term = 0; term < p_.a.terms; ++term)
        std::memset(a_.as<uint16_t>() + term * term_ + place * p_.depth, 0,
                    static_cast<size_t>(2 * count * p_.depth));
    };
    zero(0, p_.grid.cols.lead());
    for (int64_t i = 0; i < p_.grid.lines(chunk_); ++i) {
      const auto [image, y] = p_.grid.line(chunk_, i);
      const int64_t start = p_.grid.line_start(i);
      const bool inside = y >= 0 && y < height;
      const int64_t lines = inside && most > 1 ? std::min(most - i, height - y) : 1;
      if (inside)
        p_.unit.split_pixels({p_.a.gy + (image * s.oh() + y) * s.ow() * s.o + group_ * outputs, s.o,
                              p_.a.w_scale + group_ * outputs, lines * width, outputs, p_.depth,
                              p_.a.terms, a_.as<uint16_t>() + start * p_.depth, term_});
      i += lines - 1;
      const int64_t filled = inside ? width : 0;
      if (lines == 1) zero(start + filled, pitch - filled);
    }
  }

  void place(const Phase& phase, int64_t panel, std::vector<Bf16Product::Part>& parts) const {
    parts.clear();
    for (int term = 0; term < p_.a.terms; ++term) {
      const uint16_t* b = weights_ + (group_ * p_.panels + panel) * p_.panel_size +
                          phase.first_tap * p_.depth * kBf16Columns;
      for (const Tap& tap : phase.taps) {
        parts.push_back(
            {a_.as<uint16_t>() + term * term_ + p_.grid.offset(tap.dy, tap.dx) * p_.depth, b});
        b += p_.depth * kBf16Columns;
      }
    }
  }

  void store(const Phase& phase, int64_t rows, int64_t panel, int64_t columns) const {
    const ConvShape& s = p_.s;
    const bool dense = p_.grid.cols.pitch() == phase.cols && s.stride_h == 1 && s.stride_w == 1;
    for (int64_t image = 0; image < chunk_.images; ++image)
      for (int64_t row = 0; row < rows; row += dense ? rows : 1) {
        const int64_t y = phase.h + s.stride_h * (chunk_.row + row);
        p_.unit.store_pixels({sums_.as<float>() + p_.grid.number(image, row) * kBf16Columns,
                              p_.a.gx + (((chunk_.image + image) * s.h + y) * s.w + phase.w) * s.c +
                                  group_ * s.i() + panel * kBf16Columns,
                              s.stride_w * s.c, (dense ? rows : 1) * phase.cols, columns});
      }
  }

  const Plan& p_;
  const uint16_t* weights_;
  HaloChunk chunk_;
  int64_t group_, term_;
  Scratch a_, sums_;
};

}  // namespace

void bf16_backward_data(const ConvBf16BackwardData::Args& a, const Bf16Unit& unit) {
  if (a.s.rows() == 0) return;
  const Plan p(a, unit);
  const Scratch weights(static_cast<size_t>(2 * p.s.groups * p.panels * p.panel_size));
  pack(p, weights.as<uint16_t>());
  parallel_tasks(p.grid.chunks() * p.s.groups * p.parts, [&](int64_t task) {
    const int64_t part = task % p.parts, group = task / p.parts % p.s.groups;
    Task(p, weights.as<uint16_t>(), task / (p.parts * p.s.groups), group)
        .run(p.panels * part / p.parts, p.panels * (part + 1) / p.parts);
  });
}

}  // namespace stair::kernels
