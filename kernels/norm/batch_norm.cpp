#include "kernels/norm/batch_norm.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "core/parallel.h"
#include "core/storage.h"
#include "kernels/moments/moments.h"

namespace stair::kernels {
namespace {

// Elements a task of a pass that writes.
constexpr int64_t kGrain = 32768;

int64_t grain_rows(int64_t channels) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, channels));
}

// Two doubles a channel and chunk.
struct Sums {
  double* first(int64_t chunk) const { return memory + 2 * chunk * width; }
  double* second(int64_t chunk) const { return first(chunk) + width; }
  double* memory;
  int64_t width;
};

struct Partials : Sums {
  Partials(const RowChunks& split, int64_t channels)
      : Sums{nullptr, channels},
        block(static_cast<size_t>(std::max<int64_t>(1, 2 * split.count * channels)) *
              sizeof(double)) {
    memory = block.as<double>();
  }
  Scratch block;
};

// Statistics of the whole from those of the chunks, which end up in chunk 0.
void combine_statistics(const Partials& p, const RowChunks& split, int64_t rows) {
  double* mean = p.first(0);
  double* squares = p.second(0);
  for (int64_t chunk = 1; chunk < split.count; ++chunk) {
    const int64_t before = chunk * split.rows, more = std::min(split.rows, rows - before);
    const MomentMerge merge(before, more);
    const double* chunk_mean = p.first(chunk);
    const double* chunk_squares = p.second(chunk);
    for (int64_t c = 0; c < p.width; ++c)
      merge(chunk_mean[c], chunk_squares[c], mean[c], squares[c]);
  }
}

// Sums of the chunks, in order, into chunk 0.
void combine_sums(const Sums& p, int64_t chunks) {
  for (int64_t chunk = 1; chunk < chunks; ++chunk)
    for (int64_t i = 0; i < 2 * p.width; ++i) p.first(0)[i] += p.first(chunk)[i];
}

// Two floats a channel and chunk, or none.
struct Extremes {
  Extremes(bool wanted, const RowChunks& split, int64_t channels)
      : block(static_cast<size_t>(std::max<int64_t>(1, wanted ? 2 * split.count * channels : 1)) *
              sizeof(float)),
        width(wanted ? channels : 0) {}
  float* min(int64_t chunk) const {
    return width == 0 ? nullptr : block.as<float>() + 2 * chunk * width;
  }
  float* max(int64_t chunk) const { return width == 0 ? nullptr : min(chunk) + width; }
  Scratch block;
  int64_t width;
};

void combine_extremes(const Extremes& e, const RowChunks& split, float* min, float* max) {
  std::copy_n(e.min(0), e.width, min);
  std::copy_n(e.max(0), e.width, max);
  for (int64_t chunk = 1; chunk < split.count; ++chunk)
    for (int64_t c = 0; c < e.width; ++c) {
      min[c] = std::min(min[c], e.min(chunk)[c]);
      max[c] = std::max(max[c], e.max(chunk)[c]);
    }
}

// Writes mean and var; rest[c] is what rounding took from the mean. min and max may be null.
void statistics_of(const BatchStatistics<float>::Args& a, const BatchNormLoops& loops) {
  const int64_t channels = a.channels;
  const RowChunks split = row_chunks(a.rows, channels);
  const Partials partials(split, channels);
  const Extremes extremes(a.min != nullptr, split, channels);
  if (a.rows == 0) {
    std::fill_n(a.mean, channels, 0.0F);
    std::fill_n(a.var, channels, 0.0F);
    return;
  }
  parallel_for(a.rows, split.rows, [&](int64_t begin, int64_t end) {
    const int64_t chunk = begin / split.rows;
    loops.statistics(a.x + begin * channels, end - begin, channels, partials.first(chunk),
                     partials.second(chunk), extremes.min(chunk), extremes.max(chunk));
  });
  combine_statistics(partials, split, a.rows);
  if (a.min != nullptr) combine_extremes(extremes, split, a.min, a.max);
  for (int64_t c = 0; c < channels; ++c) {
    const double mean = partials.first(0)[c];
    a.mean[c] = static_cast<float>(mean);
    a.var[c] = static_cast<float>(partials.second(0)[c] / static_cast<double>(a.rows));
    a.rest[c] = static_cast<float>(mean - static_cast<double>(a.mean[c]));
  }
}

// The factors from the sums in chunk 0, where the statistics count for `share` of a row.
void set_factors(const Sums& sums, double share, const GradientFactors& f) {
  float *const shift = f.factors + f.channels, *const slope = shift + f.channels;
  for (int64_t c = 0; c < f.channels; ++c) {
    const double invstd = f.invstd[c], along = sums.second(0)[c] * invstd;
    const double sum = sums.first(0)[c];
    f.ggamma[c] = static_cast<float>(along);
    f.gbeta[c] = static_cast<float>(sum);
    f.factors[c] = f.gamma ? f.gamma[c] * f.invstd[c] : f.invstd[c];
    shift[c] = static_cast<float>(sum * share);
    slope[c] = static_cast<float>(along * share * invstd);
  }
}

// The least float for which `holds`, which all greater ones then share; NaN where there is none.
template <class F>
float least(const F& holds) {
  // Floats in their order as integers.
  const auto value = [](int64_t key) {
    const auto bits = static_cast<int32_t>(key);
    return std::bit_cast<float>(bits ^ ((bits >> 31) & INT32_MAX));
  };
  constexpr int64_t kInfinity = 0x7F800000;
  int64_t below = -kInfinity - 2, at = kInfinity + 1;
  while (at - below > 1) {
    const int64_t middle = (below + at) >> 1;
    (holds(value(middle)) ? at : below) = middle;
  }
  return value(at);
}

InsideRange inside_range(const NormalizedOutput<float>& k) {
  const float inverse = 1.0F / k.q_scale;
  const auto step = [&](float y) {
    const float active = y < k.low ? k.low : y > k.high ? k.high : y;
    return std::nearbyint(active * inverse);
  };
  const bool codes = k.dtype != DType::f32;
  const auto qmin = static_cast<float>(k.qmin - k.zero_point),
             qmax = static_cast<float>(k.qmax - k.zero_point);
  return {least([&](float y) { return y > k.low && (!codes || step(y) >= qmin); }),
          -least([&](float y) { return -y < k.high && (!codes || step(-y) <= qmax); })};
}

// Rows of few channels, several taken as one, so that loops over the channels fill their vectors,
// those of bytes, too.
int64_t rows_together(int64_t channels) {
  constexpr int64_t kVector = 64, kEnough = 256, kMost = 1024;
  if (channels >= kEnough || channels == 0) return 1;
  const int64_t whole = kVector / std::gcd(channels, kVector);
  if (whole * channels > kMost) return std::max<int64_t>(1, kEnough / channels);
  return whole * std::max<int64_t>(1, kEnough / (whole * channels));
}

// Values of the channels, repeated for the rows that are taken together.
class Repeated {
 public:
  Repeated(std::initializer_list<const float*> values, int64_t channels)
      : together(rows_together(channels)),
        block_(static_cast<size_t>(std::max<int64_t>(1, std::ssize(values) * together * channels)) *
               sizeof(float)),
        width_(together * channels) {
    float* to = block_.as<float>();
    for (const float* from : values)
      for (int64_t row = 0; row < together; ++row, to += channels) std::copy_n(from, channels, to);
  }
  const float* operator[](int64_t i) const { return block_.as<float>() + i * width_; }

  // Calls f(first row, rows, channels of a row) for the rows from `begin`, taken together where
  // they fill a whole.
  template <class F>
  void cut(int64_t begin, int64_t end, int64_t channels, const F& f) const {
    const int64_t whole = (end - begin) / together;
    if (whole > 0) f(begin, whole, width_);
    if (const int64_t first = begin + whole * together; first < end)
      f(first, end - first, channels);
  }

  const int64_t together;

 private:
  Scratch block_;
  int64_t width_;
};

}  // namespace

RowChunks row_chunks(int64_t rows, int64_t channels) {
  // Elements of a chunk at least, and chunks at most.
  constexpr int64_t kChunk = 65536, kMost = 256;
  const int64_t wanted = std::clamp<int64_t>(rows * channels / kChunk, 1, kMost);
  const int64_t each = std::max<int64_t>(1, (rows + wanted - 1) / wanted);
  return {(rows + each - 1) / each, each};
}

void batch_norm_forward(const BatchNormForward<float>::Args& a, const BatchNormLoops& loops) {
  const int64_t channels = a.channels;
  const Scratch block(static_cast<size_t>(std::max<int64_t>(1, 2 * channels)) * sizeof(float));
  float *scale = block.as<float>(), *shift = scale + channels;
  std::fill_n(shift, channels, 0.0F);
  if (a.training)
    statistics_of({a.rows, channels, a.x, a.mean, a.var, shift, nullptr, nullptr}, loops);
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
  const RowChunks split = row_chunks(a.rows, channels);
  const Partials partials(split, channels);
  parallel_for(a.rows, split.rows, [&](int64_t begin, int64_t end) {
    const int64_t chunk = begin / split.rows;
    std::fill_n(partials.first(chunk), 2 * channels, 0.0);
    loops.gradient_sums(a.x + begin * channels, a.gy + begin * channels, end - begin, channels,
                        a.mean, partials.first(chunk), partials.second(chunk));
  });
  if (a.rows == 0) std::fill_n(partials.first(0), 2 * channels, 0.0);
  combine_sums(partials, split.count);
  const double share = a.training && a.rows > 0 ? 1.0 / static_cast<double>(a.rows) : 0.0;
  const Scratch block(static_cast<size_t>(std::max<int64_t>(1, 3 * channels)) * sizeof(float));
  float *const scale = block.as<float>(), *const shift = scale + channels;
  set_factors(partials, share,
              {a.rows, channels, 0, nullptr, a.gamma, a.invstd, a.ggamma, a.gbeta, scale});
  if (a.gx == nullptr) return;
  parallel_for(a.rows, grain_rows(channels), [&](int64_t begin, int64_t end) {
    const int64_t at = begin * channels;
    loops.gradient(a.x + at, a.gy + at, end - begin, channels, a.mean, scale, shift,
                   shift + channels, a.gx + at);
  });
}

void batch_statistics(const BatchStatistics<float>::Args& a, const BatchNormLoops& loops) {
  statistics_of(a, loops);
}

void normalize_activate(const NormalizeActivate<float>::Args& a, const BatchNormLoops& loops) {
  const NormalizedOutput<float>& k = a.output;
  constexpr int64_t kCacheFloats = 8 << 20;
  const int64_t element = k.dtype == DType::f32 ? 4 : 1;
  const bool far = k.rows * k.channels > kCacheFloats;
  const Repeated values({k.mean, k.scale, k.shift}, k.channels);
  parallel_for(k.rows, grain_rows(k.channels), [&](int64_t first, int64_t last) {
    values.cut(first, last, k.channels, [&](int64_t begin, int64_t rows, int64_t channels) {
      NormalizedOutput<float> part = k;
      part.x += begin * k.channels;
      part.rows = rows, part.channels = channels;
      part.mean = values[0], part.scale = values[1], part.shift = values[2];
      loops.activate(part, static_cast<std::byte*>(a.result) + begin * k.channels * element, far);
    });
  });
}

void normalize_activate_sums(const NormalizeActivateSums<float>::Args& a,
                             const BatchNormLoops& loops) {
  const NormalizedOutput<float>& k = a.output;
  double* const product = a.sums + k.channels;
  if (k.active())
    loops.masked_sums(k, inside_range(k), a.gy, a.sums, product);
  else
    loops.gradient_sums(k.x, a.gy, k.rows, k.channels, k.mean, a.sums, product);
}

void gradient_factors(const GradientFactors& f) {
  const Sums sums{f.sums, f.channels};
  combine_sums(sums, f.chunks);
  set_factors(sums, 1.0 / static_cast<double>(f.rows), f);
}

void normalize_activate_gradient(const NormalizeActivateGradient<float>::Args& a,
                                 const BatchNormLoops& loops) {
  const NormalizedOutput<float>& k = a.output;
  const float *const shift = a.factors + k.channels, *const slope = shift + k.channels;
  const Repeated values({k.mean, k.scale, k.shift, a.factors, shift, slope}, k.channels);
  const InsideRange inside = inside_range(k);
  parallel_for(k.rows, grain_rows(k.channels), [&](int64_t first, int64_t last) {
    values.cut(first, last, k.channels, [&](int64_t begin, int64_t rows, int64_t channels) {
      const int64_t at = begin * k.channels;
      NormalizedOutput<float> part = k;
      part.x += at;
      part.rows = rows, part.channels = channels;
      part.mean = values[0], part.scale = values[1], part.shift = values[2];
      if (k.active())
        loops.masked_gradient(part, inside, a.gy + at, values[3], values[4], values[5], a.gx + at);
      else
        loops.gradient(part.x, a.gy + at, rows, channels, part.mean, values[3], values[4],
                       values[5], a.gx + at);
    });
  });
}

}  // namespace stair::kernels
