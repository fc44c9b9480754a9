// Quantization parameters of an integer tensor.
#pragma once

#include <cstdint>
#include <vector>

namespace stair {

// x = (q - zero_point) * scale, with q in [qmin, qmax].
struct QParams {
  std::vector<float> scale;         // float a step; one value, or one a channel
  std::vector<int32_t> zero_point;  // steps; as many as scales
  int axis = -1;                    // dimension of the channels, -1: one scale for the tensor
  int32_t qmin = 0;
  int32_t qmax = 255;

  bool per_channel() const { return axis >= 0; }
  bool operator==(const QParams&) const = default;
};

// Smallest scale in use: an all-zero tensor gets a usable one.
inline constexpr float kMinScale = 1.1920928955078125e-07F;  // 2^-23

}  // namespace stair
