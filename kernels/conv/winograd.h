// Winograd convolutions: windows of 3x3, stride 1, computed as products of transformed tiles with a
// quarter of the multiplications (Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", 2015, F(4x4, 3x3)).
//
//   forward            y  = A' [ (G w G') * (B' d B) ] A        d: 6x6 of x, y: 4x4
//   backward data      the same with the gradient as picture and the window turned
//   backward weights   gw = G' [ sum over tiles of (B' d B) * (A gy A') ] G
//
// where * multiplies the 36 places one by one and sums over channels (or tiles): 36 matrix
// products, which the microkernels of the direct convolutions do. The points of the transforms are
// 0, 1, -1, 1/2, -2 and infinity: they keep the error at 6e-7 of the sum of the absolute products,
// where the usual 0, 1, -1, 2, -2 give 4e-6 and the direct sum 3e-7.
#pragma once

#include <cstdint>

#include "kernels/conv/conv.h"
#include "kernels/conv/igemm.h"
#include "kernels/conv/outer.h"

namespace stair::kernels {

inline constexpr int64_t kWinogradTile = 4;     // outputs of a tile, each way
inline constexpr int64_t kWinogradPatch = 6;    // inputs of a tile, each way
inline constexpr int64_t kWinogradPlaces = 36;  // products of a tile
inline constexpr int64_t kWinogradWindow = 3;

// From pixels to places: out[place * out_place + c] for c < channels rounded up to vectors, zeros
// in the last one.
struct WinogradSpread {
  const float* const* in;  // [6 * 6] of x or [4 * 4] of gy
  int64_t in_offset;
  int64_t channels;
  float* out;
  int64_t out_place;
};

// From places to the pixels of a tile, of which rows x cols lie inside the picture.
struct WinogradGather {
  const float* in;  // [place][channels]
  int64_t in_place;
  int64_t channels;
  const float* bias;  // [channels] or null; whole vectors may be read
  float* out;
  int64_t out_row, out_col;
  int64_t rows, cols;
};

// Weights to places and back, for `count` floats of each.
struct WinogradWeights {
  const float* in;  // [9][in_step], or [36][in_step] on the way back
  int64_t in_step;
  float* out;  // [36][out_step], or [9][out_step] on the way back
  int64_t out_step;
  int64_t count;
};

struct WinogradMicro {
  IgemmMicro product;
  OuterMicro outer;
  void (*input)(const WinogradSpread&);          // B' d B
  void (*gradient)(const WinogradSpread&);       // A gy A'
  void (*output)(const WinogradGather&);         // A' m A
  void (*weights)(const WinogradWeights&);       // G w G'; whole vectors, padded
  void (*weights_back)(const WinogradWeights&);  // G' m G
};

// Whether the tiles waste less than they save.
bool winograd_pays(const ConvShape& s);

void winograd_forward(const ConvForward<float>::Args& a, const WinogradMicro& micro);
void winograd_backward_data(const ConvBackwardData<float>::Args& a, const WinogradMicro& micro);
void winograd_backward_weights(const ConvBackwardWeights<float>::Args& a,
                               const WinogradMicro& micro);

}  // namespace stair::kernels
