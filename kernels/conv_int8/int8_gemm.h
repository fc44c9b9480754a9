// The matrix product behind the fast integer convolutions.
//
// An output pixel is a row of a matrix A: the input codes under the window, all taps one after the
// other (K = KH * KW * I codes, dense, so that channel counts need no care). A task gathers some
// hundred rows into scratch that stays in the L2 cache, padding as codes equal to the zero point,
// and multiplies them with one weight panel after the other. 1x1 windows of stride 1 need no
// gathering: x is A. A panel holds `panel_cols` output channels, in steps of four bytes along K:
//   panel[step][channel][4 / bytes of an element]
// The zero points are folded into one integer a channel:
//   sum (x - zx) * w = sum x * w - zx * sum w
// An instruction set supplies the inner loops as a GemmKernel; the split into tasks and the packing
// are common to all.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "kernels/conv_int8/conv_int8.h"

namespace stair::kernels {

// Bytes of a packed panel that are unpacked together.
inline constexpr int kPackedBlock = 64;

// A Requant whose clamp is done in float before the rounding: q = rne(clamp(y * inv_scale, lo, hi))
// + zero_point. lo and hi are whole numbers relative to the zero point, so this is the same code
// and cannot overflow.
struct RequantSteps {
  float inv_scale, lo, hi;
  int32_t zero_point;
};

// narrow: codes whose steps certainly fit 32 bits, so that the clamp comes after the rounding, on
// bytes. moments: real results, whose moments are gathered.
enum class TileOutput { acc, real, moments, code, narrow, residual };

// The clamp on bytes. Signed codes are shifted by 128 until they are stored.
struct ByteClamp {
  int16_t zero_point;
  uint8_t lo, hi, flip;
};

struct TileEpilogue {
  TileOutput output;
  RequantSteps code, sum;
  ByteClamp bytes;
  float scale_q, residual_scale;
  int32_t residual_zero_point;
  bool residual_signed;
  bool stream;  // real results pass the caches: whole vectors at multiples of a vector
};

// Constants of channels, padded to whole panels.
struct ChannelConstants {
  const int32_t* offset;  // bias_s32 - zx * sum w: what an accumulator starts from
  const float* multiplier;
  const float* bias;            // -0.0 where there is none: fmaf(a, m, -0.0) is a * m to the bit
  const int32_t* w_zero_point;  // null: symmetric weights
};

// rows x panel_cols outputs from rows of A and one panel. K is `runs` runs of `steps` steps; from
// run to run A moves by a_run bytes and the panel by w_run.
struct PanelTask {
  const uint8_t* a;
  int64_t a_stride;  // bytes
  int64_t rows;
  const int32_t* row_sums;  // sum of x - zx of each row; null: symmetric weights
  const uint8_t* w;
  int64_t runs, steps, a_run, w_run;
  int64_t first_skips, last_skips;  // steps at the start (end) of each run that add nothing to the
                                    // first (last) row; a kernel may leave them out
  ChannelConstants channels;
  int64_t cols;  // channels of the panel that exist
  void* y;       // channel 0 of the panel in output 0
  const uint8_t* residual;
  const int64_t* at;  // elements from y to each row's output
  const TileEpilogue* epilogue;
  GatheredMoments moments;
};

// Rows of A from the picture.
struct GatherTask {
  const uint8_t* x;  // channel 0 of the group
  int64_t h, w, c, i, kh, kw, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w;
  int64_t oh, ow;
  bool dense_taps;  // the taps of a window row are one run of memory
  bool is_signed;
  int32_t zero_point;  // of x as it is stored
  int64_t first_row, rows;
  uint8_t* a;
  int64_t a_stride;  // bytes
};

struct GemmKernel {
  int panel_cols;
  int element_bytes;  // of A and the panels: 1 (u8 x s8; signed x is stored plus 128) or 2 (s16 x
                      // s16)
  int step_multiple;  // steps a panel is padded to
  int row_block;      // rows that the inner loop takes at once
  void (*gather)(const GatherTask&);  // may write up to 64 bytes past the last row
  // Codes of blocks of a packed panel (int8_layout.h), as `panel` reads them.
  void (*unpack)(const uint8_t* packed, int64_t blocks, int bits, void* panel);
  void (*panel)(const PanelTask&);
};

bool gemm_supports(const ConvInt8::Args& args);
size_t gemm_packed_bytes(const GemmKernel& kernel, const ConvInt8::Args& args);
void gemm_pack(const GemmKernel& kernel, const ConvInt8::Args& args, void* packed);
std::function<void()> gemm_bind(const GemmKernel& kernel, const ConvInt8::Args& args);

// The weights with a byte each: args.w, or what is unpacked into `codes`.
const int8_t* whole_codes(const ConvInt8::Args& args, std::vector<int8_t>& codes);
RequantSteps requant_steps(const Requant& r);
TileEpilogue tile_epilogue(const ConvInt8::Args& args);
// Fills offset, multiplier, bias (and w_zero_point) of `count` channels from channel `first`;
// x_zero_point as A stores it.
void fill_channels(const ConvInt8::Args& args, int32_t x_zero_point, const int32_t* w_sums,
                   int64_t first, int64_t count, int32_t* offset, float* multiplier, float* bias,
                   int32_t* w_zero_point);

}  // namespace stair::kernels
