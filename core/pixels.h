// Pictures as bytes, and the real numbers that networks read in their place.
#pragma once

#include <span>
#include <utility>

#include "core/tensor.h"

namespace stair {

struct Pixels {
  Tensor bytes;   // u8 [...,C]
  Tensor values;  // f32 [C,256]: of each byte, by channel; finite, and they rise with the byte

  // Pictures.
  int64_t count() const { return bytes.size(0); }
  // The real numbers of pixels [begin, end) (rows of C), and of all, f32 [...,C].
  void reals(int64_t begin, int64_t end, float* to) const;
  Tensor reals() const;
  // The smallest and the largest real number; +inf and -inf without any.
  std::pair<float, float> range() const;
};

// (v / 255 - mean) / std of each byte v, by channel, each step rounded to float: f32 [C,256].
// Throws ConfigError for a std that is not positive, for values that are not finite, and for
// another number of stds than of means.
Tensor values_of_bytes(std::span<const float> mean, std::span<const float> std);

// to[i] = table[i % channels][bytes[i]] for all bytes of the pixels; table [channels,256].
void look_up_bytes(const uint8_t* bytes, int64_t pixels, int64_t channels, const uint8_t* table,
                   uint8_t* to);
void look_up_bytes(const uint8_t* bytes, int64_t pixels, int64_t channels, const float* table,
                   float* to);

}  // namespace stair
