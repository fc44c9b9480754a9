#include "kernels/moments/moments.h"

#include <algorithm>

#include "kernels/norm/norm.h"

namespace stair::kernels {
namespace {

// Parts of a call that has that many tasks.
constexpr int64_t kParts = 64;

// What `more` values add to `before` others.
struct Shares {
  Shares(int64_t before, int64_t more)
      : share(static_cast<double>(more) / static_cast<double>(before + more)),
        weight(static_cast<double>(before) * share) {}
  void merge(double mean, double squares, double& into_mean, double& into_squares) const {
    const double difference = mean - into_mean;
    into_mean += difference * share;
    into_squares += squares + difference * difference * weight;
  }
  double share, weight;
};

}  // namespace

TaskMoments::TaskMoments(const ChannelMoments& to, int64_t channels, int64_t tasks)
    : to_(to),
      channels_(channels),
      tasks_(tasks),
      parts_(wanted() ? std::min(tasks, kParts) : tasks),
      doubles_(wanted() ? sizeof(double) * static_cast<size_t>(2 * channels * parts_) : 0),
      floats_(wanted() ? sizeof(float) * static_cast<size_t>(2 * channels * parts_) : 0),
      pixels_(wanted() ? sizeof(int64_t) * static_cast<size_t>(parts_) : 0) {}

TaskMoments::Totals TaskMoments::totals(int64_t part) const {
  double* const mean = doubles_.as<double>() + 2 * part * channels_;
  float* const min = floats_.as<float>() + 2 * part * channels_;
  return {mean, mean + channels_, min, min + channels_};
}

void TaskMoments::add(int64_t part, int64_t before, int64_t pixels, int64_t first, int64_t count,
                      const GatheredMoments& of) {
  const float *const center = of.memory, *const sum = center + of.stride,
                     *const square = sum + of.stride, *const low = square + of.stride,
                     *const high = low + of.stride;
  const Totals all = totals(part);
  const Shares shares(before, pixels);
  const double each = 1.0 / static_cast<double>(pixels);
  if (first == 0) pixels_.as<int64_t>()[part] = before + pixels;
  for (int64_t i = 0, c = first; i < count; ++i, ++c) {
    const double distance = static_cast<double>(sum[i]) * each,
                 mean = static_cast<double>(center[i]) + distance,
                 squares = std::max(
                     0.0, static_cast<double>(square[i]) - static_cast<double>(sum[i]) * distance);
    if (before == 0) {
      all.mean[c] = mean, all.squares[c] = squares;
      all.min[c] = low[i], all.max[c] = high[i];
      continue;
    }
    shares.merge(mean, squares, all.mean[c], all.squares[c]);
    all.min[c] = std::min(all.min[c], low[i]);
    all.max[c] = std::max(all.max[c], high[i]);
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
  const Totals first = totals(0);
  std::copy_n(first.mean, channels_, to_.mean);
  std::copy_n(first.squares, channels_, to_.squares);
  std::copy_n(first.min, channels_, to_.min);
  std::copy_n(first.max, channels_, to_.max);
  int64_t before = pixels_.as<int64_t>()[0];
  for (int64_t part = 1; part < parts_; ++part) {
    const int64_t more = pixels_.as<int64_t>()[part];
    const Totals next = totals(part);
    const Shares shares(before, more);
    for (int64_t c = 0; c < channels_; ++c) {
      shares.merge(next.mean[c], next.squares[c], to_.mean[c], to_.squares[c]);
      to_.min[c] = std::min(to_.min[c], next.min[c]);
      to_.max[c] = std::max(to_.max[c], next.max[c]);
    }
    before += more;
  }
}

}  // namespace stair::kernels
