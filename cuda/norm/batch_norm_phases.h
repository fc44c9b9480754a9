// What one thread does in each phase of batch normalization. The threads of a phase share nothing
// that one of them writes, so any order gives the same bits; a phase begins when the one before it
// is done. Tests run these very functions on the CPU.
//
// In phases over [rows,C], thread t takes the elements t, t + threads, t + 2 * threads, ...
// `threads` is a multiple of C: they are all of channel t % C, and neighbouring threads read
// neighbouring addresses whatever C is.
#pragma once

#include <algorithm>
#include <cmath>

#include "cuda/host_device.h"
#include "cuda/norm/batch_norm.h"

namespace stair::cuda {

// Threads that sum: enough to fill a GPU, few enough that adding up their sums is quick.
inline int64_t summing_threads(int64_t rows, int64_t channels) {
  constexpr int64_t kRowsEach = 32, kMostSlices = 1024, kMostThreads = 1 << 17;
  const int64_t slices = std::min({rows / kRowsEach, kMostSlices, kMostThreads / channels});
  return std::max<int64_t>(1, slices) * channels;
}

// Threads that write.
inline int64_t writing_threads(int64_t rows, int64_t channels) {
  constexpr int64_t kRowsEach = 8;
  return (rows + kRowsEach - 1) / kRowsEach * channels;
}

// What the phases of one pass share.
template <class Args>
struct Pass {
  Args a;
  int64_t summing, writing;  // threads of the phases that sum, of those that write
  int64_t elements;          // rows * channels
  double* sums;              // [2,summing]
  double* factors;           // [3,C]: scale, shift, slope

  // `memory` holds `workspace` doubles.
  Pass(const Args& args, double* memory)
      : a(args),
        summing(summing_threads(a.rows, a.channels)),
        writing(writing_threads(a.rows, a.channels)),
        elements(a.rows * a.channels),
        sums(memory),
        factors(memory + 2 * summing) {}
  static int64_t workspace(int64_t rows, int64_t channels) {
    return 2 * summing_threads(rows, channels) + 3 * channels;
  }
};

struct Sums {
  double first, second;
};

// The sums of channel c, in the order of the slices.
template <class Args>
STAIR_HOST_DEVICE Sums channel_sums(const Pass<Args>& p, int64_t c) {
  Sums total{0, 0};
  for (int64_t t = c; t < p.summing; t += p.a.channels) {
    total.first += p.sums[t];
    total.second += p.sums[p.summing + t];
  }
  return total;
}

// What thread t sums: term(i) of each of its elements.
template <class Args, class Term>
STAIR_HOST_DEVICE void set_sums(const Pass<Args>& p, int64_t t, const Term& term) {
  Sums total{0, 0};
  for (int64_t i = t; i < p.elements; i += p.summing) {
    const Sums more = term(i);
    total.first += more.first;
    total.second += more.second;
  }
  p.sums[t] = total.first;
  p.sums[p.summing + t] = total.second;
}

// Differences to the first value of the channel, and their squares. They cancel little when |mean|
// is much larger than the deviation: (x0 - mean)^2 is at most rows * var, so the relative error of
// the variance stays below rows times that of a sum in double.
struct SumDifferences {
  Pass<BatchNormForwardArgs> p;
  STAIR_HOST_DEVICE void operator()(int64_t t) const {
    const double first = p.a.x[t % p.a.channels];
    set_sums(p, t, [&](int64_t i) {
      const double d = static_cast<double>(p.a.x[i]) - first;
      return Sums{d, d * d};
    });
  }
};

// Statistics of a channel, and what its elements are multiplied by and moved by.
struct FinishForward {
  Pass<BatchNormForwardArgs> p;
  STAIR_HOST_DEVICE void operator()(int64_t c) const {
    const BatchNormForwardArgs& a = p.a;
    const double rest = a.training ? set_statistics(c) : 0.0;
    const double invstd = 1 / std::sqrt(static_cast<double>(a.var[c]) + static_cast<double>(a.eps));
    a.invstd[c] = static_cast<float>(invstd);
    const double scale = a.gamma ? invstd * static_cast<double>(a.gamma[c]) : invstd;
    p.factors[c] = scale;
    p.factors[a.channels + c] = (a.beta ? static_cast<double>(a.beta[c]) : 0.0) - rest * scale;
  }
  // What rounding took from the mean.
  STAIR_HOST_DEVICE double set_statistics(int64_t c) const {
    const BatchNormForwardArgs& a = p.a;
    a.mean[c] = a.var[c] = 0;
    if (a.rows == 0) return 0;
    const Sums total = channel_sums(p, c);
    const double rows = static_cast<double>(a.rows), moved = total.first / rows;
    const double mean = static_cast<double>(a.x[c]) + moved;
    const double squares = total.second - total.first * moved;
    a.mean[c] = static_cast<float>(mean);
    a.var[c] = static_cast<float>(squares < 0 ? 0.0 : squares / rows);
    return mean - static_cast<double>(a.mean[c]);
  }
};

struct Normalize {
  Pass<BatchNormForwardArgs> p;
  STAIR_HOST_DEVICE void operator()(int64_t t) const {
    const int64_t c = t % p.a.channels;
    const float mean = p.a.mean[c], scale = static_cast<float>(p.factors[c]),
                shift = static_cast<float>(p.factors[p.a.channels + c]);
    for (int64_t i = t; i < p.elements; i += p.writing)
      p.a.y[i] = (p.a.x[i] - mean) * scale + shift;
  }
};

// gy and gy * (x - mean).
struct SumGradients {
  Pass<BatchNormBackwardArgs> p;
  STAIR_HOST_DEVICE void operator()(int64_t t) const {
    const double mean = p.a.mean[t % p.a.channels];
    set_sums(p, t, [&](int64_t i) {
      const double g = p.a.gy[i];
      return Sums{g, g * (static_cast<double>(p.a.x[i]) - mean)};
    });
  }
};

struct FinishBackward {
  Pass<BatchNormBackwardArgs> p;
  STAIR_HOST_DEVICE void operator()(int64_t c) const {
    const BatchNormBackwardArgs& a = p.a;
    const Sums total = channel_sums(p, c);
    const double invstd = a.invstd[c], along = total.second * invstd;
    const double share = a.training && a.rows > 0 ? 1 / static_cast<double>(a.rows) : 0.0;
    a.ggamma[c] = static_cast<float>(along);
    a.gbeta[c] = static_cast<float>(total.first);
    p.factors[c] = a.gamma ? static_cast<double>(a.gamma[c]) * invstd : invstd;
    p.factors[a.channels + c] = total.first * share;
    p.factors[2 * a.channels + c] = along * share * invstd;
  }
};

struct InputGradient {
  Pass<BatchNormBackwardArgs> p;
  STAIR_HOST_DEVICE void operator()(int64_t t) const {
    const int64_t channels = p.a.channels, c = t % channels;
    const float mean = p.a.mean[c], scale = static_cast<float>(p.factors[c]),
                shift = static_cast<float>(p.factors[channels + c]),
                slope = static_cast<float>(p.factors[2 * channels + c]);
    for (int64_t i = t; i < p.elements; i += p.writing)
      p.a.gx[i] = scale * (p.a.gy[i] - shift - (p.a.x[i] - mean) * slope);
  }
};

struct UpdateRunning {
  RunningStatistics r;
  STAIR_HOST_DEVICE void operator()(int64_t c) const {
    const double rows = static_cast<double>(r.rows);
    r.running_mean[c] = moved(r.running_mean[c], r.mean[c]);
    r.running_var[c] = moved(r.running_var[c], static_cast<double>(r.var[c]) * (rows / (rows - 1)));
  }
  STAIR_HOST_DEVICE float moved(double running, double batch) const {
    return static_cast<float>((1 - r.momentum) * running + r.momentum * batch);
  }
};

// The phases in their order: launch(threads, phase) calls phase(t) for each t below `threads`.
template <class Launch>
void run_phases(const Pass<BatchNormForwardArgs>& p, const Launch& launch) {
  if (p.a.training && p.a.rows > 0) launch(p.summing, SumDifferences{p});
  launch(p.a.channels, FinishForward{p});
  launch(p.writing, Normalize{p});
}
template <class Launch>
void run_phases(const Pass<BatchNormBackwardArgs>& p, const Launch& launch) {
  launch(p.summing, SumGradients{p});
  launch(p.a.channels, FinishBackward{p});
  if (p.a.gx != nullptr) launch(p.writing, InputGradient{p});
}

}  // namespace stair::cuda
