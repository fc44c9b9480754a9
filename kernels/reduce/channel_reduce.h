// The parallel frame of the fast reductions: the tensor is cut by its shape alone, each piece is
// reduced by a loop of one instruction set, and the pieces are combined in order.
#pragma once

#include "kernels/reduce/reduce.h"

namespace stair::kernels {

// The loops. A run is `n` neighbouring floats of one channel; columns are rows of one float a
// channel. They return how many values are not finite, and set (not update) their results.
struct ExtremeLoops {
  int64_t (*run)(const float* x, int64_t n, float* min, float* max);
  int64_t (*columns)(const float* x, int64_t rows, int64_t channels, float* min, float* max);
};

// Sums of a, or of a * b where b is not null.
struct SumLoops {
  double (*run)(const float* a, const float* b, int64_t n);
  void (*columns)(const float* a, const float* b, int64_t rows, int64_t channels, double* sum);
};

void min_max_channels(const MinMax<float>::Args& a, const ExtremeLoops& loops);
void sum_channels(const ChannelLayout& layout, const float* a, const float* b, float* sum,
                  const SumLoops& loops);

}  // namespace stair::kernels
