#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/packed_codes.h"
#include "core/parallel.h"
#include "kernels/conv_int8/int8_layout.h"

namespace stair::kernels {
namespace {

// One channel's weights [begin, end) of K into its column of a panel.
template <class T>
void pack_column(const int8_t* w, int64_t begin, int64_t end, int64_t panel_cols, T* column) {
  constexpr int64_t kStep = 4 / sizeof(T);
  int64_t k = begin;
  for (; k + kStep <= end; k += kStep) {
    T word[kStep];
    for (int64_t i = 0; i < kStep; ++i) word[i] = w[k + i];
    std::memcpy(column + k * panel_cols, word, sizeof(word));
  }
  for (int64_t i = 0; k + i < end; ++i) column[k * panel_cols + i] = w[k + i];
}

// `channels` channels of w, run by run, into a panel.
template <class T>
void pack_panel(const GemmLayout& layout, const int8_t* w, int64_t channels, int64_t panel_cols,
                T* panel, int32_t* sums) {
  constexpr int64_t kBlock = 256;  // of K at a time, so that the lines written to stay in the cache
  constexpr int64_t kStep = 4 / sizeof(T);
  const int64_t k = layout.k, codes = layout.run_codes;
  for (int64_t run = 0; run < layout.runs; ++run, panel += layout.run_steps * kStep * panel_cols)
    for (int64_t begin = 0; begin < codes; begin += kBlock)
      for (int64_t c = 0; c < channels; ++c)
        pack_column(w + c * k + run * codes, begin, std::min(codes, begin + kBlock), panel_cols,
                    panel + c * kStep);
  for (int64_t c = 0; c < channels; ++c) {
    int32_t sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += w[c * k + i];
    sums[c] = sum;
  }
}

// A whole panel's codes in blocks of few bits.
template <class T>
void pack_blocks(const GemmLayout& layout, const T* codes, int bits, uint8_t* packed) {
  const int mask = (1 << bits) - 1;
  std::memset(packed, 0, layout.panel_bytes);
  for (int64_t b = 0; b < layout.blocks; ++b, packed += kPackedBlock)
    for (int shift = 0; shift < 8; shift += bits, codes += kPackedBlock)
      for (int64_t i = 0; i < kPackedBlock; ++i)
        packed[i] |= static_cast<uint8_t>((codes[i] & mask) << shift);
}

// Whether every output, in steps of the codes, is a number that a 32-bit integer holds.
bool steps_fit(const ConvInt8::Args& args) {
  constexpr float kLimit = 1 << 30;  // half of the range: the estimate itself is rounded
  const float most = args.bias_s32 ? 2.2e9F : static_cast<float>(args.s.k()) * 255 * 255;
  const float inv = args.requant.inv_scale;
  bool fit = inv > 0;
  for (int64_t o = 0; o < args.s.o; ++o) {
    const float bias = args.bias ? std::fabs(args.bias[o]) : 0.0F;
    // A NaN compares false.
    fit &= (most * std::fabs(args.multiplier[o]) + bias) * inv < kLimit;
  }
  return fit;
}

ByteClamp byte_clamp(const Requant& r) {
  const int shift = r.is_signed ? 128 : 0;
  return {static_cast<int16_t>(r.zero_point + shift), static_cast<uint8_t>(r.lo + shift),
          static_cast<uint8_t>(r.hi + shift), static_cast<uint8_t>(shift)};
}

}  // namespace

RequantSteps requant_steps(const Requant& r) {
  return {r.inv_scale, static_cast<float>(r.lo - r.zero_point),
          static_cast<float>(r.hi - r.zero_point), r.zero_point};
}

namespace {

// Real results of whole vectors that are too large for the caches need not be read before they are
// written.
bool streams(const ConvInt8::Args& args) {
  constexpr int64_t kVector = 16, kCacheFloats = 8 << 20;
  const ConvShape& s = args.s;
  return args.output == ConvOutput::real && s.o % kVector == 0 &&
         (s.depthwise() || s.o / s.groups % kVector == 0) &&
         reinterpret_cast<uintptr_t>(args.y) % (kVector * sizeof(float)) == 0 &&
         s.rows() * s.o > kCacheFloats;
}

}  // namespace

TileEpilogue tile_epilogue(const ConvInt8::Args& args) {
  TileEpilogue e{};
  e.code = requant_steps(args.requant);
  e.sum = requant_steps(args.residual.sum);
  e.scale_q = args.residual.scale_q;
  e.residual_scale = args.residual.scale;
  e.residual_zero_point = args.residual.zero_point;
  e.residual_signed = args.residual.is_signed;
  e.stream = streams(args);
  switch (args.output) {
    case ConvOutput::acc:
      e.output = TileOutput::acc;
      break;
    case ConvOutput::real:
      e.output = args.moments.mean != nullptr ? TileOutput::moments : TileOutput::real;
      break;
    case ConvOutput::code:
      e.output = args.residual.q   ? TileOutput::residual
                 : steps_fit(args) ? TileOutput::narrow
                                   : TileOutput::code;
      e.bytes = byte_clamp(args.requant);
      break;
  }
  return e;
}

void fill_channels(const ConvInt8::Args& args, int32_t x_zero_point, const int32_t* w_sums,
                   int64_t first, int64_t count, int32_t* offset, float* multiplier, float* bias,
                   int32_t* w_zero_point) {
  const bool scaled = args.output != ConvOutput::acc;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t o = first + i;
    offset[i] = static_cast<int32_t>((args.bias_s32 ? args.bias_s32[o] : 0) -
                                     int64_t{x_zero_point} * w_sums[i]);
    multiplier[i] = scaled ? args.multiplier[o] : 0.0F;
    bias[i] = scaled && args.bias ? args.bias[o] : -0.0F;
    if (w_zero_point) w_zero_point[i] = args.w_zero_point[o];
  }
}

// Padding is written as codes, so the zero point must be one.
bool gemm_supports(const ConvInt8::Args& args) {
  const int32_t low = args.x_signed ? -128 : 0;
  return !args.s.depthwise() && args.x_zero_point >= low && args.x_zero_point <= low + 255;
}

size_t gemm_packed_bytes(const GemmKernel& kernel, const ConvInt8::Args& args) {
  const GemmLayout layout(kernel, args);
  return layout.panels_offset + static_cast<size_t>(layout.units) * layout.panel_bytes;
}

const int8_t* whole_codes(const ConvInt8::Args& args, std::vector<int8_t>& codes) {
  if (args.w_bits == 8) return args.w;
  const int64_t k = args.s.k(), row = packed_bytes(k, args.w_bits);
  codes.resize(static_cast<size_t>(args.s.o * k));
  parallel_for(args.s.o, std::max<int64_t>(1, (1 << 16) / k), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o)
      unpack_codes(reinterpret_cast<const uint8_t*>(args.w) + o * row, k, args.w_bits,
                   codes.data() + o * k);
  });
  return codes.data();
}

void gemm_pack(const GemmKernel& kernel, const ConvInt8::Args& args, void* packed) {
  const GemmLayout layout(kernel, args);
  std::byte* bytes = static_cast<std::byte*>(packed);
  std::vector<int8_t> codes;
  const int8_t* w = whole_codes(args, codes);
  const int64_t cols = kernel.panel_cols,
                grain = std::max<int64_t>(1, (1 << 16) / (cols * layout.k));
  parallel_for(layout.units, grain, [&](int64_t begin, int64_t end) {
    const Scratch whole(layout.blocks > 0 ? layout.panel_codes : 0);
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t panel = unit % layout.panels,
                    o = unit / layout.panels * layout.group_channels + panel * cols;
      const int64_t channels = std::min(cols, layout.group_channels - panel * cols);
      std::byte* target =
          bytes + layout.panels_offset + static_cast<size_t>(unit) * layout.panel_bytes;
      std::byte* const panel_of = layout.blocks > 0 ? whole.as<std::byte>() : target;
      int32_t* sums = reinterpret_cast<int32_t*>(bytes) + unit * cols;
      if (layout.blocks > 0 || channels < cols ||
          layout.run_codes * kernel.element_bytes < layout.run_steps * 4)
        std::memset(panel_of, 0, layout.panel_codes);
      std::fill_n(sums, cols, 0);
      if (kernel.element_bytes == 1)
        pack_panel(layout, w + o * layout.k, channels, cols, reinterpret_cast<int8_t*>(panel_of),
                   sums);
      else
        pack_panel(layout, w + o * layout.k, channels, cols, reinterpret_cast<int16_t*>(panel_of),
                   sums);
      if (layout.blocks == 0) continue;
      uint8_t* to = reinterpret_cast<uint8_t*>(target);
      if (kernel.element_bytes == 1)
        pack_blocks(layout, reinterpret_cast<const int8_t*>(panel_of), args.w_bits, to);
      else
        pack_blocks(layout, reinterpret_cast<const int16_t*>(panel_of), args.w_bits, to);
    }
  });
}

}  // namespace stair::kernels
