// The loops behind the fast depthwise integer convolutions (kernels/conv_int8/conv_int8.h with
// groups = C = O).
//
// Vector dot products sum four bytes of a lane, so the rows of the window are laid beside each
// other first: for one output row and a chunk of channels, scratch gets
//   columns[row group][column of the padded picture][channel][rows of the group]     (four bytes a
//   channel)
// with the zero point in place of padding. An output pixel is then a sum of KW dot products a row
// group, at any stride and dilation. Weights are packed the same way: [channel vector][row
// group][kx][channel][rows of the group]. Where the last group has a row to spare and the stride is
// 1, the same columns serve the next output row, too, with weights packed one row lower.
#pragma once

#include "kernels/conv_int8/int8_gemm.h"

namespace stair::kernels {

// One row group of `columns`.
struct InterleaveTask {
  const uint8_t* rows[4];  // pixel 0 of each picture row, first channel of the chunk
  int64_t strides[4];      // bytes from pixel to pixel: C, or 0 where `rows` points at zero points
  int64_t w;               // pixels of a picture row
  int64_t pad_left;        // columns before pixel 0
  int64_t columns;
  int64_t channels;            // of the chunk that exist
  const uint8_t* zero_points;  // a chunk of them
  bool is_signed;
  int used;  // rows of the group that the window has; the others meet weights of zero
  uint8_t* out;
};

// The outputs of one row, or of two that follow each other. tile.a is `columns`; tile.rows the
// output pixels of a row; tile.steps the row groups.
struct DepthwiseRowTask {
  PanelTask tile;
  int64_t kw, stride_w, dilation_w, columns;
  int64_t y_stride;  // elements from pixel to pixel
  int64_t lower;     // bytes from a vector's weights to those of the second row; 0: one row
};

struct DepthwiseKernel {
  int lanes;           // channels of a vector
  int chunk_vectors;   // vectors of a chunk
  int rows_per_group;  // 4 (u8 x s8; signed x is stored plus 128) or 2 (s16 x s16)
  void (*interleave)(const InterleaveTask&);
  void (*row)(const DepthwiseRowTask&);
};

bool depthwise_supports(const ConvInt8::Args& args);
size_t depthwise_packed_bytes(const DepthwiseKernel& kernel, const ConvShape& s);
void depthwise_pack(const DepthwiseKernel& kernel, const ConvInt8::Args& args, void* packed);
std::function<void()> depthwise_bind(const DepthwiseKernel& kernel, const ConvInt8::Args& args);

}  // namespace stair::kernels
