#include <vector>

#include "core/packed_codes.h"
#include "core/parallel.h"
#include "kernels/conv_int8/scalar_epilogue.h"

namespace stair::kernels {
namespace {

// The accumulator of output pixel (n, oy, ox), channel o.
int32_t accumulate(const ConvInt8::Args& a, int64_t n, int64_t oy, int64_t ox, int64_t o) {
  const ConvShape& s = a.s;
  const int64_t i_count = s.i(), group = o / (s.o / s.groups);
  const int32_t zw = a.w_zero_point ? a.w_zero_point[o] : 0;
  int64_t sum = a.bias_s32 ? a.bias_s32[o] : 0;
  for (int64_t ky = 0; ky < s.kh; ++ky) {
    const int64_t iy = oy * s.stride_h - s.pad_top + ky * s.dilation_h;
    if (iy < 0 || iy >= s.h) continue;
    for (int64_t kx = 0; kx < s.kw; ++kx) {
      const int64_t ix = ox * s.stride_w - s.pad_left + kx * s.dilation_w;
      if (ix < 0 || ix >= s.w) continue;
      const int64_t x = ((n * s.h + iy) * s.w + ix) * s.c + group * i_count;
      const int8_t* w = a.w + ((o * s.kh + ky) * s.kw + kx) * i_count;
      for (int64_t i = 0; i < i_count; ++i)
        sum += int64_t{read_code(a.x, a.x_signed, x + i) - a.x_zero_point} * (w[i] - zw);
    }
  }
  return static_cast<int32_t>(sum);
}

// Of the real results in a.y.
void write_moments(const ConvInt8::Args& a) {
  const float* const y = static_cast<const float*>(a.y);
  const int64_t rows = a.s.rows();
  for (int64_t o = 0; o < a.s.o; ++o) {
    double sum = 0, squares = 0;
    float min = y[o], max = y[o];
    for (int64_t r = 0; r < rows; ++r) {
      const float value = y[r * a.s.o + o];
      sum += static_cast<double>(value);
      if (value < min || std::isnan(min)) min = value;
      if (value > max || std::isnan(max)) max = value;
    }
    const double mean = sum / static_cast<double>(rows);
    for (int64_t r = 0; r < rows; ++r) {
      const double distance = static_cast<double>(y[r * a.s.o + o]) - mean;
      squares += distance * distance;
    }
    a.moments.mean[o] = mean;
    a.moments.squares[o] = squares;
    a.moments.min[o] = min;
    a.moments.max[o] = max;
  }
}

void conv_plainly(const ConvInt8::Args& args) {
  ConvInt8::Args a = args;
  std::vector<int8_t> codes;
  if (a.w_bits < 8) {
    const int64_t k = a.s.k(), row = packed_bytes(k, a.w_bits);
    codes.resize(static_cast<size_t>(a.s.o * k));
    for (int64_t o = 0; o < a.s.o; ++o)
      unpack_codes(reinterpret_cast<const uint8_t*>(a.w) + o * row, k, a.w_bits,
                   codes.data() + o * k);
    a.w = codes.data();
  }
  const int64_t oh = a.s.oh(), ow = a.s.ow();
  parallel_tasks(a.s.n * oh, [&](int64_t row) {
    for (int64_t ox = 0; ox < ow; ++ox)
      for (int64_t o = 0; o < a.s.o; ++o)
        write_output(a, (row * ow + ox) * a.s.o + o, o, accumulate(a, row / oh, row % oh, ox, o));
  });
  if (a.moments.mean != nullptr) write_moments(a);
}

constexpr ConvInt8::Impl kConvInt8{[](const ConvInt8::Args& args) -> std::function<void()> {
                                     return [args] { conv_plainly(args); };
                                   },
                                   nullptr, nullptr, nullptr};

}  // namespace

void register_conv_int8_ref(Registry& r) {
  r.add(ConvInt8::kName, "conv_int8_ref", Isa::ref, &kConvInt8);
}

}  // namespace stair::kernels
