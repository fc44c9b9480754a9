#include "kernels/reduce/channel_reduce.h"

#include <algorithm>
#include <limits>

#include "core/parallel.h"
#include "core/storage.h"

namespace stair::kernels {
namespace {

// Elements a task, and tasks that reduce rows of many channels at most.
constexpr int64_t kChunk = 65536;
constexpr int64_t kMaxChunks = 64;

// How a tensor is cut.
struct Split {
  enum Kind { flat, columns, runs } kind;
  int64_t chunks, each;  // each: elements (flat), rows (columns), channels (runs)
};

Split split(const ChannelLayout& l) {
  const auto pieces = [](int64_t n, int64_t each) { return (n + each - 1) / each; };
  if (l.channels == 1) return {Split::flat, pieces(l.numel(), kChunk), kChunk};
  if (l.inner == 1) {
    const int64_t wanted = std::clamp<int64_t>(l.numel() / kChunk, 1, kMaxChunks);
    const int64_t rows = std::max<int64_t>(1, pieces(l.outer, wanted));
    return {Split::columns, pieces(l.outer, rows), rows};
  }
  const int64_t size = std::max<int64_t>(1, l.outer * l.inner);
  const int64_t channels = std::max<int64_t>(1, kChunk / size);
  return {Split::runs, pieces(l.channels, channels), channels};
}

template <class T>
struct Table {
  explicit Table(int64_t n) : block(static_cast<size_t>(std::max<int64_t>(1, n)) * sizeof(T)) {}
  T* at(int64_t i) const { return block.as<T>() + i; }
  Scratch block;
};

}  // namespace

void min_max_channels(const MinMax<float>::Args& a, const ExtremeLoops& loops) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const ChannelLayout& l = a.layout;
  const Split s = split(l);
  // Runs are whole channels and write their results at once; other pieces are combined.
  const int64_t width = s.kind == Split::runs ? 0 : l.channels;
  const Table<float> table(2 * s.chunks * width);
  const Table<int64_t> bad(s.chunks);
  parallel_tasks(s.chunks, [&](int64_t chunk) {
    float *min = table.at(2 * chunk * width), *max = min + width;
    const int64_t begin = chunk * s.each;
    if (s.kind == Split::flat) {
      *bad.at(chunk) = loops.run(a.x + begin, std::min(s.each, l.numel() - begin), min, max);
      return;
    }
    if (s.kind == Split::columns) {
      *bad.at(chunk) = loops.columns(a.x + begin * l.channels, std::min(s.each, l.outer - begin),
                                     l.channels, min, max);
      return;
    }
    *bad.at(chunk) = 0;
    for (int64_t c = begin; c < std::min(begin + s.each, l.channels); ++c) {
      a.min[c] = kInfinity;
      a.max[c] = -kInfinity;
      for (int64_t o = 0; o < l.outer; ++o) {
        float low, high;
        *bad.at(chunk) += loops.run(a.x + (o * l.channels + c) * l.inner, l.inner, &low, &high);
        a.min[c] = std::min(a.min[c], low);
        a.max[c] = std::max(a.max[c], high);
      }
    }
  });
  std::fill_n(a.min, width, kInfinity);
  std::fill_n(a.max, width, -kInfinity);
  *a.non_finite = 0;
  for (int64_t chunk = 0; chunk < s.chunks; ++chunk) {
    *a.non_finite += *bad.at(chunk);
    for (int64_t c = 0; c < width; ++c) {
      a.min[c] = std::min(a.min[c], *table.at(2 * chunk * width + c));
      a.max[c] = std::max(a.max[c], *table.at((2 * chunk + 1) * width + c));
    }
  }
}

void sum_channels(const ChannelLayout& l, const float* a, const float* b, float* sum,
                  const SumLoops& loops) {
  const Split s = split(l);
  const int64_t width = s.kind == Split::runs ? 0 : l.channels;
  const Table<double> table(s.chunks * width + l.channels);
  const auto from = [b](int64_t i) { return b ? b + i : nullptr; };
  parallel_tasks(s.chunks, [&](int64_t chunk) {
    const int64_t begin = chunk * s.each;
    if (s.kind == Split::flat) {
      *table.at(chunk) = loops.run(a + begin, from(begin), std::min(s.each, l.numel() - begin));
      return;
    }
    if (s.kind == Split::columns) {
      const int64_t at = begin * l.channels;
      loops.columns(a + at, from(at), std::min(s.each, l.outer - begin), l.channels,
                    table.at(chunk * width));
      return;
    }
    for (int64_t c = begin; c < std::min(begin + s.each, l.channels); ++c) {
      double total = 0;
      for (int64_t o = 0; o < l.outer; ++o) {
        const int64_t at = (o * l.channels + c) * l.inner;
        total += loops.run(a + at, from(at), l.inner);
      }
      sum[c] = static_cast<float>(total);
    }
  });
  double* total = table.at(s.chunks * width);
  std::fill_n(total, width, 0.0);
  for (int64_t chunk = 0; chunk < s.chunks; ++chunk)
    for (int64_t c = 0; c < width; ++c) total[c] += *table.at(chunk * width + c);
  for (int64_t c = 0; c < width; ++c) sum[c] = static_cast<float>(total[c]);
}

}  // namespace stair::kernels
