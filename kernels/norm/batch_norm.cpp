#include "kernels/norm/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "core/storage.h"

namespace stair::kernels {
namespace {

// Elements a task of a reduction at least, and tasks at most.
constexpr int64_t kChunk = 65536;
constexpr int64_t kMaxChunks = 64;
// Elements a task of a pass that writes.
constexpr int64_t kGrain = 32768;

struct Split {
  int64_t chunks, rows;  // rows of every chunk but the last
};

Split split_rows(int64_t rows, int64_t channels) {
  const int64_t wanted = std::clamp<int64_t>(rows * channels / kChunk, 1, kMaxChunks);
  const int64_t each = std::max<int64_t>(1, (rows + wanted - 1) / wanted);
  return {(rows + each - 1) / each, each};
}

int64_t grain_rows(int64_t channels) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, channels));
}

// Two doubles a channel and chunk.
struct Partials {
  Partials(const Split& split, int64_t channels)
      : block(static_cast<size_t>(std::max<int64_t>(1, 2 * split.chunks * channels)) *
              sizeof(double)),
        width(channels) {}
  double* first(int64_t chunk) const { return block.as<double>() + 2 * chunk * width; }
  double* second(int64_t chunk) const { return first(chunk) + width; }
  Scratch block;
  int64_t width;
};

// Statistics of the whole from those of the chunks, which end up in chunk 0.
// Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm" (1979).
void combine_statistics(const Partials& p, const Split& split, int64_t rows) {
  double* mean = p.first(0);
  double* squares = p.second(0);
  for (int64_t chunk = 1; chunk < split.chunks; ++chunk) {
    const int64_t before = chunk * split.rows, more = std::min(split.rows, rows - before);
    const double share = static_cast<double>(more) / static_cast<double>(before + more);
    const double weight = static_cast<double>(before) * share;
    const double* chunk_mean = p.first(chunk);
    const double* chunk_squares = p.second(chunk);
    for (int64_t c = 0; c < p.width; ++c) {
      const double difference = chunk_mean[c] - mean[c];
      mean[c] += difference * share;
      squares[c] += chunk_squares[c] + difference * difference * weight;
    }
  }
}

// Sums of the chunks, in order, into chunk 0.
void combine_sums(const Partials& p, const Split& split) {
  for (int64_t chunk = 1; chunk < split.chunks; ++chunk)
    for (int64_t i = 0; i < 2 * p.width; ++i) p.first(0)[i] += p.first(chunk)[i];
}

// Writes mean and var; rest[c] is what rounding took from the mean.
void batch_statistics(const BatchNormForward<float>::Args& a, const BatchNormLoops& loops,
                      float* rest) {
  const int64_t channels = a.channels;
  const Split split = split_rows(a.rows, channels);
  const Partials partials(split, channels);
  if (a.rows == 0) {
    std::fill_n(a.mean, channels, 0.0F);
    std::fill_n(a.var, channels, 0.0F);
    return;
  }
  parallel_for(a.rows, split.rows, [&](int64_t begin, int64_t end) {
    const int64_t chunk = begin / split.rows;
    loops.statistics(a.x + begin * channels, end - begin, channels, partials.first(chunk),
                     partials.second(chunk));
  });
  combine_statistics(partials, split, a.rows);
  for (int64_t c = 0; c < channels; ++c) {
    const double mean = partials.first(0)[c];
    a.mean[c] = static_cast<float>(mean);
    a.var[c] = static_cast<float>(partials.second(0)[c] / static_cast<double>(a.rows));
    rest[c] = static_cast<float>(mean - static_cast<double>(a.mean[c]));
  }
}

}  // namespace

void batch_norm_forward(const BatchNormForward<float>::Args& a, const BatchNormLoops& loops) {
  const int64_t channels = a.channels;
  const Scratch block(static_cast<size_t>(std::max<int64_t>(1, 2 * channels)) * sizeof(float));
  float *scale = block.as<float>(), *shift = scale + channels;
  std::fill_n(shift, channels, 0.0F);
  if (a.training) batch_statistics(a, loops, shift);
  for (int64_t c = 0; c < channels; ++c) {
    const double invstd = 1 / std::sqrt(static_cast<double>(a.var[c]) + static_cast<double>(a.eps));
    a.invstd[c] = static_cast<float>(invstd);
    const double factor = a.gamma ? invstd * static_cast<double>(a.gamma[c]) : invstd;
    const double beta = a.beta ? static_cast<double>(a.beta[c]) : 0.0;
    scale[c] = static_cast<float>(factor);
    shift[c] = static_cast<float>(beta - static_cast<double>(shift[c]) * factor);
  }
  parallel_for(a.rows, grain_rows(channels), [&](int64_t begin, int64_t end) {
    loops.normalize(a.x + begin * channels, end - begin, channels, a.mean, scale, shift,
                    a.y + begin * channels);
  });
}

void batch_norm_backward(const BatchNormBackward<float>::Args& a, const BatchNormLoops& loops) {
  const int64_t channels = a.channels;
  const Split split = split_rows(a.rows, channels);
  const Partials partials(split, channels);
  parallel_for(a.rows, split.rows, [&](int64_t begin, int64_t end) {
    const int64_t chunk = begin / split.rows;
    loops.gradient_sums(a.x + begin * channels, a.gy + begin * channels, end - begin, channels,
                        a.mean, partials.first(chunk), partials.second(chunk));
  });
  if (a.rows == 0) std::fill_n(partials.first(0), 2 * channels, 0.0);
  combine_sums(partials, split);
  const Scratch block(static_cast<size_t>(std::max<int64_t>(1, 3 * channels)) * sizeof(float));
  float *scale = block.as<float>(), *shift = scale + channels, *slope = shift + channels;
  const double share = a.training && a.rows > 0 ? 1.0 / static_cast<double>(a.rows) : 0.0;
  for (int64_t c = 0; c < channels; ++c) {
    const double invstd = a.invstd[c], ggamma = partials.second(0)[c] * invstd;
    const double gbeta = partials.first(0)[c];
    a.ggamma[c] = static_cast<float>(ggamma);
    a.gbeta[c] = static_cast<float>(gbeta);
    scale[c] = a.gamma ? a.gamma[c] * a.invstd[c] : a.invstd[c];
    shift[c] = static_cast<float>(gbeta * share);
    slope[c] = static_cast<float>(ggamma * share * invstd);
  }
  if (a.gx == nullptr) return;
  parallel_for(a.rows, grain_rows(channels), [&](int64_t begin, int64_t end) {
    const int64_t at = begin * channels;
    loops.gradient(a.x + at, a.gy + at, end - begin, channels, a.mean, scale, shift, slope,
                   a.gx + at);
  });
}

}  // namespace stair::kernels
