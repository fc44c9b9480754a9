// Windows of a layer's input and the outputs they should give, kept in bounded memory.
#pragma once

#include "core/random.h"
#include "qat/conv_bn.h"
#include "qat/ptq/layers.h"

namespace stair::qat {

// A row is one position of the layer's output: x its window of the input, y its outputs. A
// convolution of G > 1 groups keeps x as [R,KH,KW,C], every other layer as [R,K], K = KH*KW*C.
class LayerRows {
 public:
  // At most so many rows as take `most_bytes`, and at least one.
  LayerRows(const QatConvOptions& options, const Shape& weight, int64_t most_bytes);

  // Takes up to 16 random positions of every picture, in order, until it is full. x: the layer's
  // input, f32 or quantized; y: outputs wanted of it, [N,OH,OW,O] or [N,O].
  void take(const Tensor& x, const Tensor& y, Random& random);
  bool full() const { return count_ == capacity_; }
  int64_t count() const { return count_; }

  struct Batch {
    Variable x;
    Tensor y;
  };
  // Rows [begin, end); so many random ones.
  Batch slice(int64_t begin, int64_t end) const;
  Batch sample(int64_t rows, Random& random) const;

  // The layer's outputs [R,O] of these windows.
  Variable outputs(const Variable& x, const Variable& weight, const Variable& bias) const;

 private:
  void copy_window(const Tensor& x, int64_t picture, int64_t oy, int64_t ox, float* to) const;
  Tensor windows(int64_t rows) const;

  QatConvOptions options_;
  int64_t kh_ = 1, kw_ = 1, channels_, outputs_, window_;
  int64_t capacity_, count_ = 0;
  std::vector<float> x_, y_;
};

}  // namespace stair::qat
