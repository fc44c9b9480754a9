#include "data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/cpu.h"
#include "core/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define STAIR_RESIZE_AVX2 __attribute__((target("avx2")))
#endif

namespace stair::data {
namespace {

constexpr int kBits = 22;
constexpr int kHalf = 1 << (kBits - 1);

// Weights of the input pixels for outputs [begin, begin + count) of one direction. Every output has
// `length` of them, zeros among them where its triangle is narrower: loops of one length need no
// guessing by the processor.
struct Taps {
  int length = 0;
  std::vector<int> first;        // input pixel of the first weight
  std::vector<int32_t> weights;  // of 2^22
  bool copy = false;             // the direction is not resized

  void compute(int in_size, float in0, float in1, int out_size, int begin, int count);
  const int32_t* of(int output) const { return weights.data() + ptrdiff_t{output} * length; }
};

void Taps::compute(int in_size, float in0, float in1, int out_size, int begin, int count) {
  const double scale = static_cast<double>(in1 - in0) / out_size;
  const double filter_scale = std::max(scale, 1.0);
  const auto centre = [&](int i) { return in0 + (begin + i + 0.5) * scale; };
  const auto low = [&](int i) {
    return std::max(static_cast<int>(centre(i) - filter_scale + 0.5), 0);
  };
  const auto high = [&](int i) {
    return std::min(static_cast<int>(centre(i) + filter_scale + 0.5), in_size);
  };
  copy = out_size == in_size && in0 == 0.0F && in1 == static_cast<float>(out_size);
  length = 1;
  for (int i = 0; i < count; ++i) length = std::max(length, high(i) - low(i));
  first.resize(static_cast<size_t>(count));
  weights.assign(static_cast<size_t>(count) * static_cast<size_t>(length), 0);
  std::vector<double> exact(static_cast<size_t>(length));
  for (int i = 0; i < count; ++i) {
    const int begins = low(i), size = high(i) - begins;
    double sum = 0.0;
    for (int t = 0; t < size; ++t) {
      const double distance = std::abs((t + begins - centre(i) + 0.5) * (1.0 / filter_scale));
      sum += exact[static_cast<size_t>(t)] = distance < 1.0 ? 1.0 - distance : 0.0;
    }
    // Moved to the left where the zeros would lie past the input's end.
    const int start = std::min(begins, in_size - length);
    first[static_cast<size_t>(i)] = start;
    int32_t* out = weights.data() + ptrdiff_t{i} * length + (begins - start);
    for (int t = 0; t < size; ++t) {
      const double weight = sum != 0.0 ? exact[static_cast<size_t>(t)] / sum : 0.0;
      out[t] = static_cast<int>(0.5 + weight * (1 << kBits));
    }
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

// The first pass over rows [begin, begin + rows). `out` is a row's stride apart and has room for
// one more byte a row.
void across_plain(const ImageView& in, int begin, int rows, const Taps& taps, int count,
                  uint8_t* out, ptrdiff_t stride) {
  for (int y = 0; y < rows; ++y) {
    for (int x = 0; x < count; ++x) {
      const uint8_t* pixel = in.row(begin + y) + 3 * taps.first[static_cast<size_t>(x)];
      const int32_t* weights = taps.of(x);
      int32_t sums[3] = {kHalf, kHalf, kHalf};
      for (int t = 0; t < taps.length; ++t, pixel += 3)
        for (int c = 0; c < 3; ++c) sums[c] += pixel[c] * weights[t];
      for (int c = 0; c < 3; ++c)
        out[y * stride + 3 * x + c] = static_cast<uint8_t>(std::min(sums[c] >> kBits, 255));
    }
  }
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
// Four rows share the weights' loads; a pixel is four lanes, of which the last is the next pixel's
// and is overwritten by it.
template <int kRows>
STAIR_RESIZE_AVX2 void across_rows_avx2(const ImageView& in, int y, const Taps& taps, int count,
                                        uint8_t* out, ptrdiff_t stride) {
  const __m128i low_bytes =
      _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  const int length = taps.length;
  const int32_t* weights = taps.weights.data();
  for (int x = 0; x < count; ++x, weights += length) {
    const uint8_t* pixel = in.row(y) + 3 * taps.first[static_cast<size_t>(x)];
    __m128i sums[kRows];
    for (__m128i& sum : sums) sum = _mm_set1_epi32(kHalf);
    for (int t = 0; t < length; ++t, pixel += 3) {
      const __m128i weight = _mm_set1_epi32(weights[t]);
      for (int r = 0; r < kRows; ++r) {
        const __m128i lanes = _mm_cvtepu8_epi32(_mm_loadu_si32(pixel + r * in.stride));
        sums[r] = _mm_add_epi32(sums[r], _mm_mullo_epi32(lanes, weight));
      }
    }
    for (int r = 0; r < kRows; ++r) {
      const __m128i values = _mm_min_epi32(_mm_srai_epi32(sums[r], kBits), _mm_set1_epi32(255));
      _mm_storeu_si32(out + r * stride + 3 * x, _mm_shuffle_epi8(values, low_bytes));
    }
  }
}

STAIR_RESIZE_AVX2 void across_avx2(const ImageView& in, int begin, int rows, const Taps& taps,
                                   int count, uint8_t* out, ptrdiff_t stride) {
  int y = 0;
  for (; y + 4 <= rows; y += 4)
    across_rows_avx2<4>(in, begin + y, taps, count, out + y * stride, stride);
  for (; y < rows; ++y) across_rows_avx2<1>(in, begin + y, taps, count, out + y * stride, stride);
}

STAIR_RESIZE_AVX2 void down_avx2(const uint8_t* in, ptrdiff_t stride, const int32_t* weights,
                                 int length, int bytes, uint8_t* out) {
  down_body(in, stride, weights, length, bytes, out);
}
#endif

void across(const ImageView& in, int begin, int rows, const Taps& taps, int count, uint8_t* out,
            ptrdiff_t stride) {
#ifdef STAIR_RESIZE_AVX2
  if (active_isa() >= Isa::avx2) return across_avx2(in, begin, rows, taps, count, out, stride);
#endif
  across_plain(in, begin, rows, taps, count, out, stride);
}

void down(const uint8_t* in, ptrdiff_t stride, const int32_t* weights, int length, int bytes,
          uint8_t* out) {
#ifdef STAIR_RESIZE_AVX2
  if (active_isa() >= Isa::avx2) return down_avx2(in, stride, weights, length, bytes, out);
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
  const int bytes = 3 * o.window_width;
  // The rows that the second pass reads: computed, or the input's own.
  const auto [low, high] = std::minmax_element(work.down.first.begin(), work.down.first.end());
  const int first_row = *low, rows = *high + work.down.length - first_row;
  ImageView narrow = image.crop(work.across.copy ? o.window_x : 0, first_row, o.window_width, rows);
  if (!work.across.copy) {
    const ptrdiff_t padded = bytes + 1;
    work.rows.resize(static_cast<size_t>(padded * rows));
    across(image, first_row, rows, work.across, o.window_width, work.rows.data(), padded);
    narrow = {work.rows.data(), o.window_width, rows, padded};
  }
  for (int y = 0; y < o.window_height; ++y) {
    if (work.down.copy)
      std::memcpy(out + y * stride, narrow.row(o.window_y + y - first_row),
                  static_cast<size_t>(bytes));
    else
      down(narrow.row(work.down.first[static_cast<size_t>(y)] - first_row), narrow.stride,
           work.down.of(y), work.down.length, bytes, out + y * stride);
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
