#include "core/pixels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <vector>

#include "core/parallel.h"

namespace stair {
namespace {

constexpr int64_t kGrain = 4096;  // pixels

template <class T>
void look_up(const uint8_t* bytes, int64_t pixels, int64_t channels, const T* table, T* to) {
  parallel_for(pixels, kGrain, [&](int64_t begin, int64_t end) {
    if (channels == 3) {
      for (int64_t i = 3 * begin; i < 3 * end; i += 3) {
        to[i] = table[bytes[i]];
        to[i + 1] = table[256 + bytes[i + 1]];
        to[i + 2] = table[512 + bytes[i + 2]];
      }
      return;
    }
    for (int64_t i = begin; i < end; ++i)
      for (int64_t c = 0; c < channels; ++c)
        to[i * channels + c] = table[256 * c + bytes[i * channels + c]];
  });
}

struct Extremes {
  std::vector<uint8_t> min, max;
};

// Of each channel. Many pixels are taken as one row, so that the compiler's vectors are full.
Extremes extremes(const uint8_t* bytes, int64_t pixels, int64_t channels) {
  constexpr int64_t kPixelsOfRow = 64;
  const int64_t width = kPixelsOfRow * channels;
  std::vector<uint8_t> low(static_cast<size_t>(width), 255), high(static_cast<size_t>(width), 0);
  for (int64_t row = 0; row < pixels * channels; row += width) {
    const int64_t count = std::min(width, pixels * channels - row);
    for (int64_t i = 0; i < count; ++i) {
      low[static_cast<size_t>(i)] = std::min(low[static_cast<size_t>(i)], bytes[row + i]);
      high[static_cast<size_t>(i)] = std::max(high[static_cast<size_t>(i)], bytes[row + i]);
    }
  }
  Extremes e{std::vector<uint8_t>(static_cast<size_t>(channels), 255),
             std::vector<uint8_t>(static_cast<size_t>(channels), 0)};
  for (size_t i = 0; i < low.size(); ++i) {
    const size_t c = i % static_cast<size_t>(channels);
    e.min[c] = std::min(e.min[c], low[i]);
    e.max[c] = std::max(e.max[c], high[i]);
  }
  return e;
}

}  // namespace

void Pixels::reals(int64_t begin, int64_t end, float* to) const {
  const int64_t channels = values.size(0);
  look_up_bytes(bytes.data<uint8_t>() + begin * channels, end - begin, channels,
                values.data<float>(), to);
}

Tensor Pixels::reals() const {
  Tensor all = Tensor::empty(bytes.shape(), DType::f32);
  reals(0, bytes.numel() / values.size(0), all.data<float>());
  return all;
}

std::pair<float, float> Pixels::range() const {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const int64_t channels = values.size(0);
  std::pair<float, float> range{kInfinity, -kInfinity};
  std::mutex mutex;
  parallel_for(bytes.numel() / channels, 16 * kGrain, [&](int64_t begin, int64_t end) {
    const Extremes e = extremes(bytes.data<uint8_t>() + begin * channels, end - begin, channels);
    const std::lock_guard lock(mutex);
    for (size_t c = 0; c < e.min.size(); ++c) {
      const float* of_channel = values.data<float>() + 256 * c;
      range.first = std::min(range.first, of_channel[e.min[c]]);
      range.second = std::max(range.second, of_channel[e.max[c]]);
    }
  });
  return range;
}

Tensor values_of_bytes(std::span<const float> mean, std::span<const float> std) {
  if (mean.size() != std.size())
    throw ConfigError(str("pixels: ", mean.size(), " means and ", std.size(), " stds"));
  const auto channels = std::ssize(mean);
  Tensor values = Tensor::empty({channels, 256}, DType::f32);
  for (size_t c = 0; c < mean.size(); ++c)
    for (size_t v = 0; v < 256; ++v) {
      const float value = (static_cast<float>(v) / 255.0F - mean[c]) / std[c];
      if (!(std[c] > 0) || !std::isfinite(value))
        throw ConfigError(str("pixels: mean ", mean[c], " std ", std[c], " of channel ", c,
                              ", expected finite values and a positive std"));
      values.data<float>()[256 * c + v] = value;
    }
  return values;
}

void look_up_bytes(const uint8_t* bytes, int64_t pixels, int64_t channels, const uint8_t* table,
                   uint8_t* to) {
  look_up(bytes, pixels, channels, table, to);
}
void look_up_bytes(const uint8_t* bytes, int64_t pixels, int64_t channels, const float* table,
                   float* to) {
  look_up(bytes, pixels, channels, table, to);
}

}  // namespace stair
