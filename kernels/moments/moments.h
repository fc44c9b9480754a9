// Statistics of a convolution's results, gathered while they are written.
#pragma once

#include <cstdint>

#include "core/storage.h"

namespace stair::kernels {

// What batch norm needs to know of values [rows,C]: for each channel the mean, the sum of the
// squared distances from it, and the extremes, NaN left out. Empty: it is not asked for.
struct ChannelMoments {
  double *mean = nullptr, *squares = nullptr;  // [C]
  float *min = nullptr, *max = nullptr;        // [C]
};

// Adds the mean and the squares of `more` values to those of `before` others.
// Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm" (1979).
class MomentMerge {
 public:
  MomentMerge(int64_t before, int64_t more)
      : share_(static_cast<double>(more) / static_cast<double>(before + more)),
        weight_(static_cast<double>(before) * share_) {}
  void operator()(double mean, double squares, double& into_mean, double& into_squares) const {
    const double difference = mean - into_mean;
    into_mean += difference * share_;
    into_squares += squares + difference * difference * weight_;
  }

 private:
  double share_, weight_;
};

// What a kernel gathers of a task's results of each channel, in floats: the first result, the sum
// and the sum of squares of what the others are from there, the least and the greatest. The five
// arrays are `stride` floats apart.
struct GatheredMoments {
  static constexpr int64_t kArrays = 5;
  float* memory = nullptr;
  int64_t stride = 0;
  bool fresh = false;  // nothing was gathered so far
};

// Those of all tasks, as ChannelMoments. The tasks are cut into parts by their number alone; the
// moments of a part's tasks, and then those of the parts, are put together in order, in double.
class TaskMoments {
 public:
  // Of `tasks` tasks that follow each other. Where `to` is empty, nothing is gathered and each task
  // is a part.
  TaskMoments(const ChannelMoments& to, int64_t channels, int64_t tasks);
  bool wanted() const { return to_.mean != nullptr; }
  int64_t parts() const { return parts_; }
  int64_t first_task(int64_t part) const { return tasks_ * part / parts_; }
  // Channels [first, first + count) of the next `pixels` pixels of a part, behind `before` of them;
  // from one thread at a time for a part and channel.
  void add(int64_t part, int64_t before, int64_t pixels, int64_t first, int64_t count,
           const GatheredMoments& of);
  // All channels of the next `rows` pixels, which stand at y [rows,C].
  void add(int64_t part, int64_t before, int64_t rows, const float* y);
  void combine();

 private:
  ChannelMoments totals(int64_t part) const;

  ChannelMoments to_;
  int64_t channels_, tasks_, parts_;
  Scratch doubles_, floats_, pixels_;  // pixels_: of each part
};

}  // namespace stair::kernels
