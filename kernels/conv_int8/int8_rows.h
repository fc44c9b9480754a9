// The rows of A (int8_gemm.h): which codes a task reads, and where its outputs go.
//
// Three sources:
//   direct    1x1 windows of stride 1: x itself is A.
//   lines     windows that overlap: a task copies the padded lines of the picture once; rows of A
//             overlap in them. Where the zero point is 0, padding adds nothing: window rows on it
//             are left out, and its taps of the first and last pixel of a line.
//   gathered  a task copies the codes under each window. Where the zero point is 0, the taps of
//             padding are left out: output pixels are sorted by the part of the
//             window that lies in the picture.
#pragma once

#include <array>

#include "kernels/conv_int8/int8_layout.h"

namespace stair::kernels {

// Output pixels [oy, oy + oh) x [ox, ox + ow) of every image, which meet the same part
// [ky, ky + kh) x [kx, kx + kw) of the window.
struct Region {
  int64_t oy, ox, oh, ow, ky, kx, kh, kw;
  int64_t rows;  // of all images
};

// Rows of one region or one output line.
struct Piece {
  const uint8_t* a;
  int64_t a_stride, first, rows;                // first: counted in the task
  int64_t runs, steps, a_run, w_offset, w_run;  // as in PanelTask
  int64_t run_codes;                            // of a run that are no padding to whole steps
  int64_t first_skips, last_skips;              // as in PanelTask
};

class RowSource {
 public:
  static constexpr int64_t kMaxPieces = 16;
  struct Pieces {
    std::array<Piece, kMaxPieces> piece;
    int64_t count = 0;
    Piece& operator[](int64_t i) { return piece[static_cast<size_t>(i)]; }
  };

  RowSource(const GemmKernel& kernel, const ConvInt8::Args& args, const GemmLayout& layout);

  // Cuts the rows into tasks, at most this many rows each if possible.
  void split(int64_t row_chunk);
  int64_t tasks() const { return tasks_; }
  int64_t most_rows() const { return row_chunk_; }         // of a task
  size_t scratch_bytes() const { return scratch_bytes_; }  // for A, of a task
  int64_t row_bytes() const { return a_stride_; }          // of A, at most
  bool direct() const { return direct_; }

  // The pieces of a task for channel group `group`. Writes A into `scratch` unless it is direct.
  Pieces gather(int64_t task, int64_t group, uint8_t* scratch) const;
  // Output element of each row of a task, channel 0. Returns the number of rows.
  int64_t outputs(int64_t task, int64_t* at) const;
  int64_t rows() const { return rows_; }

 private:
  struct Band {
    int64_t o, count, k, taps;
  };
  using Bands = std::array<Band, 4>;
  static int64_t bands(int64_t outputs, int64_t size, int64_t stride, int64_t pad, int64_t dilation,
                       int64_t window, Bands& out);
  int32_t stored_zero_point() const;
  void trim();
  int64_t cost(const Bands& ys, int64_t y_count, const Bands& xs, int64_t x_count) const;
  void set_regions(const Bands& ys, int64_t y_count, const Bands& xs, int64_t x_count);
  GatherTask gather_task(const Region& r) const;
  Piece line_piece(int64_t oy, int64_t first, const uint8_t* line) const;
  void gather_lines(int64_t task, uint8_t* scratch, Pieces& pieces) const;
  void gather_windows(int64_t task, int64_t group, uint8_t* scratch, Pieces& pieces) const;

  const GemmKernel& kernel_;
  const ConvInt8::Args& args_;
  const GemmLayout& layout_;
  int64_t rows_, a_stride_;
  bool direct_ = false, lines_ = false,
       trimmed_ = false;  // trimmed: regions see parts of the window
  std::array<Region, kMaxPieces> regions_;
  int64_t region_count_ = 1;
  int64_t row_chunk_ = 0, tasks_ = 0;
  int64_t line_chunk_ = 0, columns_ = 0, line_bytes_ = 0;  // lines
  size_t scratch_bytes_ = 0;
};

}  // namespace stair::kernels
