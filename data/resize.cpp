#include "data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/error.h"

// The loops below are plain vectors of the compiler; this compiles them a second time for AVX2,
// chosen at run time. Integers only, so both give the same bytes.
#if defined(__x86_64__)
#define STAIR_RESIZE_AVX2 __attribute__((target("avx2")))
#endif

namespace stair::data {
namespace {

constexpr int kBits = 22;
constexpr int kHalf = 1 << (kBits - 1);

using Int4 __attribute__((vector_size(16))) = int32_t;
using Byte4 __attribute__((vector_size(4))) = uint8_t;

// Weights of the input pixels for outputs [begin, begin + count) of one direction.
struct Taps {
  int stride = 0;                // weights an output; those past `length` are zero
  std::vector<int> first;        // input pixel of the first weight
  std::vector<int> length;       // weights that count
  std::vector<int32_t> weights;  // of 2^22
  bool copy = false;             // the direction is not resized

  void compute(int in_size, float in0, float in1, int out_size, int begin, int count);
  const int32_t* of(int output) const {
    return weights.data() + static_cast<ptrdiff_t>(output) * stride;
  }
};

void Taps::compute(int in_size, float in0, float in1, int out_size, int begin, int count) {
  const double scale = static_cast<double>(in1 - in0) / out_size;
  const double filter_scale = std::max(scale, 1.0);
  stride = static_cast<int>(std::ceil(filter_scale)) * 2 + 1;
  copy = out_size == in_size && in0 == 0.0F && in1 == static_cast<float>(out_size);
  first.resize(static_cast<size_t>(count));
  length.resize(static_cast<size_t>(count));
  weights.assign(static_cast<size_t>(count) * static_cast<size_t>(stride), 0);
  std::vector<double> exact(static_cast<size_t>(stride));
  for (int i = 0; i < count; ++i) {
    const double centre = in0 + (begin + i + 0.5) * scale;
    const int low = std::max(static_cast<int>(centre - filter_scale + 0.5), 0);
    const int high = std::min(static_cast<int>(centre + filter_scale + 0.5), in_size);
    double sum = 0.0;
    for (int x = low; x < high; ++x) {
      const double distance = std::abs((x - centre + 0.5) * (1.0 / filter_scale));
      sum += exact[static_cast<size_t>(x - low)] = distance < 1.0 ? 1.0 - distance : 0.0;
    }
    int32_t* out = weights.data() + static_cast<ptrdiff_t>(i) * stride;
    for (int t = 0; t < high - low; ++t) {
      const double weight = sum != 0.0 ? exact[static_cast<size_t>(t)] / sum : 0.0;
      out[t] = static_cast<int>(0.5 + weight * (1 << kBits));
    }
    first[static_cast<size_t>(i)] = low;
    length[static_cast<size_t>(i)] = high - low;
  }
}

// Kept by each thread, so that resizing allocates nothing once warm.
struct Workspace {
  Taps across, down;
  std::vector<uint8_t> rows;
};

Workspace& workspace() {
  thread_local Workspace instance;
  return instance;
}

[[gnu::always_inline]] inline Int4 load_pixel(const uint8_t* pixel) {
  Byte4 bytes;
  std::memcpy(&bytes, pixel, 4);
  return __builtin_convertvector(bytes, Int4);
}

[[gnu::always_inline]] inline void store_pixel(Int4 sum, uint8_t* out) {
  sum >>= kBits;
  for (int c = 0; c < 3; ++c) out[c] = static_cast<uint8_t>(std::min(sum[c], 255));
}

// Rows [0, kRows) of one block along x; rows share the weights' loads.
template <int kRows>
[[gnu::always_inline]] inline void across_rows(const ImageView& in, int y, const Taps& taps,
                                               int count, uint8_t* out, ptrdiff_t stride) {
  for (int x = 0; x < count; ++x) {
    const int32_t* weights = taps.of(x);
    const int length = taps.length[static_cast<size_t>(x)];
    const uint8_t* pixel = in.row(y) + 3 * taps.first[static_cast<size_t>(x)];
    Int4 sums[kRows];
    for (Int4& sum : sums) sum = Int4{kHalf, kHalf, kHalf, kHalf};
    for (int t = 0; t < length; ++t, pixel += 3)
      for (int r = 0; r < kRows; ++r) sums[r] += load_pixel(pixel + r * in.stride) * weights[t];
    for (int r = 0; r < kRows; ++r) store_pixel(sums[r], out + r * stride + 3 * x);
  }
}

[[gnu::always_inline]] inline void across_body(const ImageView& in, int begin, int rows,
                                               const Taps& taps, int count, uint8_t* out,
                                               ptrdiff_t stride) {
  int y = 0;
  for (; y + 4 <= rows; y += 4)
    across_rows<4>(in, begin + y, taps, count, out + y * stride, stride);
  for (; y < rows; ++y) across_rows<1>(in, begin + y, taps, count, out + y * stride, stride);
}

// One output row from `length` rows of `bytes` bytes.
[[gnu::always_inline]] inline void down_body(const uint8_t* in, ptrdiff_t stride,
                                             const int32_t* weights, int length, int bytes,
                                             uint8_t* __restrict out) {
  constexpr int kBlock = 64;
  int at = 0;
  for (; at + kBlock <= bytes; at += kBlock) {
    int32_t sums[kBlock];
    for (int& sum : sums) sum = kHalf;
    for (int t = 0; t < length; ++t) {
      const uint8_t* row = in + t * stride + at;
      for (int i = 0; i < kBlock; ++i) sums[i] += row[i] * weights[t];
    }
    for (int i = 0; i < kBlock; ++i)
      out[at + i] = static_cast<uint8_t>(std::min(sums[i] >> kBits, 255));
  }
  for (; at < bytes; ++at) {
    int32_t sum = kHalf;
    for (int t = 0; t < length; ++t) sum += in[t * stride + at] * weights[t];
    out[at] = static_cast<uint8_t>(std::min(sum >> kBits, 255));
  }
}

#ifdef STAIR_RESIZE_AVX2
STAIR_RESIZE_AVX2 void across_avx2(const ImageView& in, int begin, int rows, const Taps& taps,
                                   int count, uint8_t* out, ptrdiff_t stride) {
  across_body(in, begin, rows, taps, count, out, stride);
}
STAIR_RESIZE_AVX2 void down_avx2(const uint8_t* in, ptrdiff_t stride, const int32_t* weights,
                                 int length, int bytes, uint8_t* out) {
  down_body(in, stride, weights, length, bytes, out);
}
bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2");
  return has;
}
#endif

void across(const ImageView& in, int begin, int rows, const Taps& taps, int count, uint8_t* out,
            ptrdiff_t stride) {
#ifdef STAIR_RESIZE_AVX2
  if (has_avx2()) return across_avx2(in, begin, rows, taps, count, out, stride);
#endif
  across_body(in, begin, rows, taps, count, out, stride);
}

void down(const uint8_t* in, ptrdiff_t stride, const int32_t* weights, int length, int bytes,
          uint8_t* out) {
#ifdef STAIR_RESIZE_AVX2
  if (has_avx2()) return down_avx2(in, stride, weights, length, bytes, out);
#endif
  down_body(in, stride, weights, length, bytes, out);
}

void check(const ImageView& image, const ResizeOptions& o, const Box& box) {
  if (image.width <= 0 || image.height <= 0 || o.width <= 0 || o.height <= 0)
    throw ShapeError(str("resize: sizes must be positive; got ", image.width, "x", image.height,
                         " to ", o.width, "x", o.height));
  if (!(box.left >= 0 && box.top >= 0 && box.left < box.right && box.top < box.bottom &&
        box.right <= static_cast<float>(image.width) &&
        box.bottom <= static_cast<float>(image.height)))
    throw ShapeError(str("resize: box (", box.left, ", ", box.top, ", ", box.right, ", ",
                         box.bottom, ") is empty or not inside ", image.width, "x", image.height));
  if (o.window_x < 0 || o.window_y < 0 || o.window_width <= 0 || o.window_height <= 0 ||
      o.window_x > o.width - o.window_width || o.window_y > o.height - o.window_height)
    throw ShapeError(str("resize: window ", o.window_width, "x", o.window_height, " at (",
                         o.window_x, ", ", o.window_y, ") is empty or not inside ", o.width, "x",
                         o.height));
}

void resize_box(const ImageView& image, const ResizeOptions& o, const Box& box, uint8_t* out,
                ptrdiff_t stride) {
  check(image, o, box);
  Workspace& work = workspace();
  work.across.compute(image.width, box.left, box.right, o.width, o.window_x, o.window_width);
  work.down.compute(image.height, box.top, box.bottom, o.height, o.window_y, o.window_height);
  const auto last = static_cast<size_t>(o.window_height - 1);
  const int first_row = work.down.first[0];
  const int rows = work.down.first[last] + work.down.length[last] - first_row;
  const int bytes = 3 * o.window_width;
  // The rows that the second pass reads: computed, or the input's own.
  ImageView narrow = image.crop(work.across.copy ? o.window_x : 0, first_row, o.window_width, rows);
  if (!work.across.copy) {
    work.rows.resize(static_cast<size_t>(bytes) * static_cast<size_t>(rows));
    across(image, first_row, rows, work.across, o.window_width, work.rows.data(), bytes);
    narrow = {work.rows.data(), o.window_width, rows, bytes};
  }
  for (int y = 0; y < o.window_height; ++y) {
    const auto i = static_cast<size_t>(y);
    if (work.down.copy)
      std::memcpy(out + y * stride, narrow.row(o.window_y + y - first_row),
                  static_cast<size_t>(bytes));
    else
      down(narrow.row(work.down.first[i] - first_row), narrow.stride, work.down.of(y),
           work.down.length[i], bytes, out + y * stride);
  }
}

}  // namespace

Image resize(const ImageView& image, int width, int height) {
  return resize(image, width, height,
                {0, 0, static_cast<float>(image.width), static_cast<float>(image.height)});
}

Image resize(const ImageView& image, int width, int height, const Box& box) {
  const ResizeOptions options{width, height, 0, 0, width, height};
  check(image, options, box);
  Image out(width, height);
  resize_box(image, options, box, out.data(), ptrdiff_t{3} * width);
  return out;
}

void resize_into(const ImageView& image, const ResizeOptions& options, uint8_t* out,
                 ptrdiff_t stride) {
  resize_box(image, options,
             {0, 0, static_cast<float>(image.width), static_cast<float>(image.height)}, out,
             stride);
}

}  // namespace stair::data
