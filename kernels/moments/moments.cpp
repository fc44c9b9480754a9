#include "kernels/moments/moments.h"

#include <algorithm>
#include <limits>

#include "kernels/norm/norm.h"

namespace stair::kernels {
namespace {

// Parts of a call that has that many tasks.
constexpr int64_t kParts = 64;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Nothing, to which values can be added.
void clear(const ChannelMoments& totals, int64_t channels) {
  std::fill_n(totals.mean, channels, 0.0);
  std::fill_n(totals.squares, channels, 0.0);
  std::fill_n(totals.min, channels, kInfinity);
  std::fill_n(totals.max, channels, -kInfinity);
}

void merge(const MomentMerge& moments, int64_t c, double mean, double squares, float min, float max,
           const ChannelMoments& into) {
  moments(mean, squares, into.mean[c], into.squares[c]);
  into.min[c] = std::min(into.min[c], min);
  into.max[c] = std::max(into.max[c], max);
}

}  // namespace

TaskMoments::TaskMoments(const ChannelMoments& to, int64_t channels, int64_t tasks)
    : to_(to),
      channels_(channels),
      tasks_(tasks),
      parts_(wanted() ? std::min(tasks, kParts) : tasks),
      doubles_(wanted() ? sizeof(double) * static_cast<size_t>(2 * channels * parts_) : 0),
      floats_(wanted() ? sizeof(float) * static_cast<size_t>(2 * channels * parts_) : 0),
      pixels_(wanted() ? sizeof(int64_t) * static_cast<size_t>(parts_) : 0) {
  if (!wanted()) return;
  std::fill_n(pixels_.as<int64_t>(), parts_, 0);
  for (int64_t part = 0; part < parts_; ++part) clear(totals(part), channels);
}

ChannelMoments TaskMoments::totals(int64_t part) const {
  double* const mean = doubles_.as<double>() + 2 * part * channels_;
  float* const min = floats_.as<float>() + 2 * part * channels_;
  return {mean, mean + channels_, min, min + channels_};
}

void TaskMoments::add(int64_t part, int64_t before, int64_t pixels, int64_t first, int64_t count,
                      const GatheredMoments& of) {
  const float *const center = of.memory, *const sum = center + of.stride,
                     *const square = sum + of.stride, *const low = square + of.stride,
                     *const high = low + of.stride;
  const ChannelMoments all = totals(part);
  const MomentMerge moments(before, pixels);
  const double each = 1.0 / static_cast<double>(pixels);
  if (first == 0) pixels_.as<int64_t>()[part] = before + pixels;
  for (int64_t i = 0; i < count; ++i) {
    const double total = static_cast<double>(sum[i]), distance = total * each;
    merge(moments, first + i, static_cast<double>(center[i]) + distance,
          std::max(0.0, static_cast<double>(square[i]) - total * distance), low[i], high[i], all);
  }
}

void TaskMoments::add(int64_t part, int64_t before, int64_t rows, const float* y) {
  const Scratch memory(sizeof(float) * static_cast<size_t>(GatheredMoments::kArrays * channels_));
  float *const mean = memory.as<float>(), *const rest = mean + channels_,
               *const var = rest + channels_, *const min = var + channels_;
  run<BatchStatistics<float>>({rows, channels_, y, mean, var, rest, min, min + channels_});
  // As sums of the distances from the rounded mean.
  for (int64_t c = 0; c < channels_; ++c) {
    rest[c] *= static_cast<float>(rows);
    var[c] *= static_cast<float>(rows);
  }
  add(part, before, rows, 0, channels_, {mean, channels_});
}

void TaskMoments::combine() {
  clear(to_, channels_);
  int64_t before = 0;
  for (int64_t part = 0; part < parts_; ++part) {
    const int64_t more = pixels_.as<int64_t>()[part];
    if (more == 0) continue;
    const ChannelMoments next = totals(part);
    const MomentMerge moments(before, more);
    for (int64_t c = 0; c < channels_; ++c)
      merge(moments, c, next.mean[c], next.squares[c], next.min[c], next.max[c], to_);
    before += more;
  }
}

}  // namespace stair::kernels
