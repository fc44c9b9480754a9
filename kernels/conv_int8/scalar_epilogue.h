// The scalar formulas of the integer contracts (numerics.md), shared by the reference kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/conv_int8/conv_int8.h"

namespace stair::kernels {

// q = clamp(rne(y * inv_scale) + zero_point, lo, hi); NaN gives zero_point, infinities saturate.
inline int32_t requantize(float y, const Requant& r) {
  const float steps = y * r.inv_scale;
  if (std::isnan(steps)) return r.zero_point;
  const double q = static_cast<double>(std::nearbyintf(steps)) + r.zero_point;
  return static_cast<int32_t>(std::clamp<double>(q, r.lo, r.hi));
}

// y = fmaf(float(acc), multiplier, *bias), or the plain product without a bias. float(acc) rounds
// to nearest even.
inline float rescale(int32_t acc, float multiplier, const float* bias) {
  const float value = static_cast<float>(acc);
  return bias ? std::fmaf(value, multiplier, *bias) : value * multiplier;
}

inline int32_t read_code(const void* q, bool is_signed, int64_t i) {
  return is_signed ? static_cast<const int8_t*>(q)[i] : static_cast<const uint8_t*>(q)[i];
}

inline void write_code(void* q, int64_t i, int32_t code) {
  static_cast<uint8_t*>(q)[i] = static_cast<uint8_t>(code);
}

// x = (q - zero_point) * scale: the difference in integers, one rounded product.
inline float dequantize(int32_t code, int32_t zero_point, float scale) {
  return static_cast<float>(code - zero_point) * scale;
}

// Code `q` of element i plus the residual's code there, as a code of the sum.
inline int32_t add_residual(int32_t q, const Requant& requant, const Residual& r, int64_t i) {
  const float a = dequantize(q, requant.zero_point, r.scale_q);
  const float b = dequantize(read_code(r.q, r.is_signed, i), r.zero_point, r.scale);
  return requantize(a + b, r.sum);
}

// Writes output element i of channel o.
inline void write_output(const ConvInt8::Args& a, int64_t i, int64_t o, int32_t acc) {
  if (a.output == ConvOutput::acc) {
    static_cast<int32_t*>(a.y)[i] = acc;
    return;
  }
  const float y = rescale(acc, a.multiplier[o], a.bias ? a.bias + o : nullptr);
  if (a.output == ConvOutput::real) {
    static_cast<float*>(a.y)[i] = y;
    return;
  }
  const int32_t q = requantize(y, a.requant);
  write_code(a.y, i, a.residual.q ? add_residual(q, a.requant, a.residual, i) : q);
}

}  // namespace stair::kernels
