#include "kernels/conv_int8/int8_rows.h"

namespace stair::kernels {
namespace {

// Rows a power of two apart would share few sets of the first-level cache.
int64_t spread(int64_t stride) {
  return stride % 1024 == 0 ? stride + 64 : stride;
}

bool no_padding(const ConvShape& s) {
  return s.pad_top == 0 && s.pad_left == 0 && s.pad_bottom == 0 && s.pad_right == 0;
}

// Windows that overlap are best read from lines, if their rows are whole steps. Kernels that take
// many steps at once want more pixels than a line may have.
bool overlap_in_lines(const GemmKernel& kernel, const ConvShape& s) {
  return kernel.step_multiple == 1 && s.groups == 1 && s.dilation_w == 1 && s.kh * s.kw > 1 &&
         s.kw * s.c * kernel.element_bytes % 4 == 0;
}

}  // namespace

RowSource::RowSource(const GemmKernel& kernel, const ConvInt8::Args& args, const GemmLayout& layout)
    : kernel_(kernel),
      args_(args),
      layout_(layout),
      rows_(args.s.rows()),
      a_stride_(layout.steps * 4) {
  const ConvShape& s = args.s;
  const bool x_is_a = s.pointwise() && s.groups == 1;
  direct_ = x_is_a && kernel.element_bytes == 1 && !args.x_signed && args.w_zero_point == nullptr &&
            a_stride_ == layout.k;
  regions_[0] = {0, 0, s.oh(), s.ow(), 0, 0, s.kh, s.kw, rows_};
  lines_ = layout.lines || overlap_in_lines(kernel, s);
  if (lines_) {
    columns_ = (s.ow() - 1) * s.stride_w + s.kw;
    line_bytes_ = spread(ceil_div(columns_ * s.c * kernel.element_bytes, 64) * 64);
    a_stride_ = s.stride_w * s.c * kernel.element_bytes;
  } else if (!direct_) {
    a_stride_ = spread(a_stride_);
    trim();
  }
}

int32_t RowSource::stored_zero_point() const {
  return args_.x_zero_point + (args_.x_signed && kernel_.element_bytes == 1 ? 128 : 0);
}

// Output pixels along one axis by the taps that lie in the picture. 0 where some see none or where
// there are too many kinds.
int64_t RowSource::bands(int64_t outputs, int64_t size, int64_t stride, int64_t pad,
                         int64_t dilation, int64_t window, Bands& out) {
  int64_t count = 0;
  for (int64_t o = 0; o < outputs; ++o) {
    const int64_t first = o * stride - pad;
    const int64_t k = first < 0 ? ceil_div(-first, dilation) : 0;
    const int64_t end = std::min(window, ceil_div(size - first, dilation));
    if (end <= k) return 0;
    if (count > 0 && out[static_cast<size_t>(count - 1)].k == k &&
        out[static_cast<size_t>(count - 1)].taps == end - k) {
      ++out[static_cast<size_t>(count - 1)].count;
      continue;
    }
    if (count == static_cast<int64_t>(out.size())) return 0;
    out[static_cast<size_t>(count++)] = {o, 1, k, end - k};
  }
  return count;
}

// Sorts the output pixels into regions, if that saves more products than it costs in tiles that are
// not full: along both axes, along one, or not at all.
void RowSource::trim() {
  const ConvShape& s = args_.s;
  if (stored_zero_point() != 0 || no_padding(s) ||
      s.i() * kernel_.element_bytes % (4 * kernel_.step_multiple) != 0)
    return;
  Bands ys, xs;
  const int64_t y_count = bands(s.oh(), s.h, s.stride_h, s.pad_top, s.dilation_h, s.kh, ys);
  const int64_t x_count = bands(s.ow(), s.w, s.stride_w, s.pad_left, s.dilation_w, s.kw, xs);
  const Bands all_y = {{{0, s.oh(), 0, s.kh}}}, all_x = {{{0, s.ow(), 0, s.kw}}};
  int64_t least = cost(all_y, 1, all_x, 1);
  const auto take = [&](const Bands& y, int64_t y_bands, const Bands& x, int64_t x_bands) {
    if (y_bands == 0 || x_bands == 0 || cost(y, y_bands, x, x_bands) >= least) return;
    least = cost(y, y_bands, x, x_bands);
    set_regions(y, y_bands, x, x_bands);
  };
  take(ys, y_count, all_x, 1);
  take(all_y, 1, xs, x_count);
  take(ys, y_count, xs, x_count);
}

// Rows times taps; a region whose rows do not fill its tiles costs some more.
int64_t RowSource::cost(const Bands& ys, int64_t y_count, const Bands& xs, int64_t x_count) const {
  constexpr int64_t kPartTile = 2;  // rows that the last tiles of a region are slower
  int64_t sum = 0;
  for (int64_t y = 0; y < y_count; ++y)
    for (int64_t x = 0; x < x_count; ++x) {
      const Band &v = ys[static_cast<size_t>(y)], &h = xs[static_cast<size_t>(x)];
      const int64_t rows = args_.s.n * v.count * h.count;
      sum += (rows + (rows % kernel_.row_block != 0 ? kPartTile : 0)) * v.taps * h.taps;
    }
  return sum;
}

void RowSource::set_regions(const Bands& ys, int64_t y_count, const Bands& xs, int64_t x_count) {
  trimmed_ = true;
  region_count_ = 0;
  for (int64_t y = 0; y < y_count; ++y)
    for (int64_t x = 0; x < x_count; ++x) {
      const Band &v = ys[static_cast<size_t>(y)], &h = xs[static_cast<size_t>(x)];
      regions_[static_cast<size_t>(region_count_++)] = {
          v.o, h.o, v.count, h.count, v.k, h.k, v.taps, h.taps, args_.s.n * v.count * h.count};
    }
}

void RowSource::split(int64_t row_chunk) {
  const ConvShape& s = args_.s;
  if (!lines_) {
    row_chunk_ = std::min(row_chunk, rows_);
    tasks_ = ceil_div(rows_, row_chunk_);
    scratch_bytes_ =
        direct_ ? 0 : static_cast<size_t>(row_chunk_ * (a_stride_ + 64) + 64 * (kMaxPieces + 1));
    return;
  }
  line_chunk_ = std::clamp<int64_t>(row_chunk / s.ow(), 1, std::min(kMaxPieces, s.oh()));
  row_chunk_ = line_chunk_ * s.ow();
  tasks_ = s.n * ceil_div(s.oh(), line_chunk_);
  const int64_t lines = (line_chunk_ - 1) * s.stride_h + (s.kh - 1) * s.dilation_h + 1;
  scratch_bytes_ = static_cast<size_t>(lines * line_bytes_ + 64);
}

GatherTask RowSource::gather_task(const Region& r) const {
  const ConvShape& s = args_.s;
  return {.x = static_cast<const uint8_t*>(args_.x),
          .h = s.h,
          .w = s.w,
          .c = s.c,
          .i = s.i(),
          .kh = r.kh,
          .kw = r.kw,
          .stride_h = s.stride_h,
          .stride_w = s.stride_w,
          .pad_top = s.pad_top - r.oy * s.stride_h - r.ky * s.dilation_h,
          .pad_left = s.pad_left - r.ox * s.stride_w - r.kx * s.dilation_w,
          .dilation_h = s.dilation_h,
          .dilation_w = s.dilation_w,
          .oh = r.oh,
          .ow = r.ow,
          .dense_taps = s.groups == 1 && (s.dilation_w == 1 || r.kw == 1),
          .is_signed = args_.x_signed,
          .zero_point = args_.x_zero_point,
          .first_row = 0,
          .rows = 0,
          .a = nullptr,
          .a_stride = 0};
}

// Where the zero point is 0, the taps of padding above, below, left and right of it are left out.
Piece RowSource::line_piece(int64_t oy, int64_t first, const uint8_t* line) const {
  const ConvShape& s = args_.s;
  const int64_t tap_bytes = s.c * kernel_.element_bytes,
                steps = layout_.lines ? layout_.run_steps : s.kw * tap_bytes / 4,
                run_bytes = steps * kernel_.panel_cols * 4, step = s.dilation_h * line_bytes_;
  Piece p{line, a_stride_, first, s.ow(), s.kh, steps, step, 0, run_bytes, s.kw * s.c, 0, 0};
  if (stored_zero_point() != 0) return p;
  const int64_t iy = oy * s.stride_h - s.pad_top;
  const int64_t above = std::clamp<int64_t>(ceil_div(-iy, s.dilation_h), 0, s.kh),
                end = std::clamp<int64_t>(ceil_div(s.h - iy, s.dilation_h), above, s.kh),
                left = std::min(s.pad_left, s.kw),
                right = std::clamp<int64_t>(columns_ - s.pad_left - s.w, 0, s.kw - left);
  p.a += above * step;
  p.w_offset = above * run_bytes;
  p.runs = end - above;
  p.first_skips = left * tap_bytes / 4;
  p.last_skips = right * tap_bytes / 4;
  return p;
}

void RowSource::gather_lines(int64_t task, uint8_t* scratch, Pieces& pieces) const {
  const ConvShape& s = args_.s;
  const int64_t per_image = ceil_div(s.oh(), line_chunk_);
  const int64_t n = task / per_image, oy = task % per_image * line_chunk_;
  const int64_t count = std::min(line_chunk_, s.oh() - oy);
  // A padded line is the only row of a window as wide as the picture.
  GatherTask lines = gather_task(regions_[0]);
  lines.x += n * s.h * s.w * s.c;
  lines.kh = lines.stride_h = lines.dilation_h = lines.ow = 1;
  lines.kw = columns_;
  lines.oh = (s.oh() - 1) * s.stride_h + (s.kh - 1) * s.dilation_h + 1;
  lines.first_row = oy * s.stride_h;
  lines.rows = (count - 1) * s.stride_h + (s.kh - 1) * s.dilation_h + 1;
  lines.a = scratch;
  lines.a_stride = line_bytes_;
  kernel_.gather(lines);
  for (int64_t i = 0; i < count; ++i)
    pieces[i] = line_piece(oy + i, i * s.ow(), scratch + i * s.stride_h * line_bytes_);
  pieces.count = count;
}

void RowSource::gather_windows(int64_t task, int64_t group, uint8_t* scratch,
                               Pieces& pieces) const {
  const ConvShape& s = args_.s;
  int64_t skip = task * row_chunk_, left = std::min(row_chunk_, rows_ - skip), first = 0;
  for (int64_t i = 0; left > 0; ++i) {
    const Region& r = regions_[static_cast<size_t>(i)];
    if (skip >= r.rows) {
      skip -= r.rows;
      continue;
    }
    const int64_t rows = std::min(left, r.rows - skip);
    Piece p{scratch, a_stride_, first, rows, 1, layout_.steps, 0, 0, 0, layout_.run_codes, 0, 0};
    if (trimmed_) {
      const int64_t tap_steps = s.i() * kernel_.element_bytes / 4,
                    step_bytes = kernel_.panel_cols * 4;
      const bool whole_rows = r.kw == s.kw;
      p.runs = whole_rows ? 1 : r.kh;
      p.steps = (whole_rows ? r.kh : 1) * r.kw * tap_steps;
      p.a_run = p.steps * 4;
      p.run_codes = p.a_run / kernel_.element_bytes;
      p.w_offset = (r.ky * s.kw + r.kx) * tap_steps * step_bytes;
      p.w_run = s.kw * tap_steps * step_bytes;
      p.a_stride = spread(p.runs * p.steps * 4);
    }
    if (direct_) {
      p.a = static_cast<const uint8_t*>(args_.x) + skip * a_stride_;
    } else {
      GatherTask gather = gather_task(r);
      gather.x += group * gather.i;
      gather.first_row = skip;
      gather.rows = rows;
      gather.a = scratch;
      gather.a_stride = p.a_stride;
      kernel_.gather(gather);
      scratch += ceil_div(rows * p.a_stride, 64) * 64;
    }
    pieces.piece[static_cast<size_t>(pieces.count++)] = p;
    first += rows;
    left -= rows;
    skip = 0;
  }
}

RowSource::Pieces RowSource::gather(int64_t task, int64_t group, uint8_t* scratch) const {
  Pieces pieces;
  if (lines_)
    gather_lines(task, scratch, pieces);
  else
    gather_windows(task, group, scratch, pieces);
  return pieces;
}

int64_t RowSource::outputs(int64_t task, int64_t* at) const {
  const ConvShape& s = args_.s;
  const int64_t oh = s.oh(), ow = s.ow();
  if (lines_) {
    const int64_t per_image = ceil_div(oh, line_chunk_);
    const int64_t first = (task / per_image * oh + task % per_image * line_chunk_) * ow;
    const int64_t rows = std::min(line_chunk_, oh - task % per_image * line_chunk_) * ow;
    for (int64_t row = 0; row < rows; ++row) at[row] = (first + row) * s.o;
    return rows;
  }
  int64_t skip = task * row_chunk_;
  const int64_t rows = std::min(row_chunk_, rows_ - skip);
  int64_t done = 0;
  for (int64_t i = 0; done < rows; ++i) {
    const Region& r = regions_[static_cast<size_t>(i)];
    if (skip >= r.rows) {
      skip -= r.rows;
      continue;
    }
    int64_t x = skip % r.ow, y = skip / r.ow % r.oh, n = skip / (r.ow * r.oh);
    for (int64_t left = std::min(rows - done, r.rows - skip); left > 0;) {
      const int64_t count = std::min(left, r.ow - x),
                    first = ((n * oh + r.oy + y) * ow + r.ox + x) * s.o;
      for (int64_t i = 0; i < count; ++i) at[done + i] = first + i * s.o;
      done += count;
      left -= count;
      x = 0;
      if (++y < r.oh) continue;
      y = 0;
      ++n;
    }
    skip = 0;
  }
  return rows;
}

}  // namespace stair::kernels
