// Convolutions that wait for memory rather than for products: pointwise layers of many pixels, and
// depthwise layers. Each task takes one band of pixels after the other through all that reads or
// writes it, so that the band stays in the cache of one core. Forward: the formula of x and the
// convolution. Backward: the formulas of gy and x, the gradient of x and what watches it, and the
// sums of the gradient of w.
#pragma once

#include "autograd/gradient.h"
#include "kernels/conv/conv.h"
#include "kernels/moments/moments.h"

namespace stair::autograd {

// Output pixels [gy) are read for the gradient of input pixels [gx); output pixels [gw) of them,
// whose windows read input pixels [x), are this band's part of the gradient of w. Pixels count
// through all images.
struct ConvBand {
  struct Range {
    int64_t first, last;
    int64_t count() const { return last - first; }
  };
  Range gy, gx, gw, x;
  kernels::ConvShape data, weights;  // of the two products
};

// How a layer is cut; depends on its shape alone. The gx of all bands are all pixels, in order, and
// so are the gw.
class ConvBands {
 public:
  // Whether a layer can be cut so, and whether that pays.
  static bool fit(const kernels::ConvShape& s);
  static bool pay(const kernels::ConvShape& s);
  explicit ConvBands(const kernels::ConvShape& s);
  int64_t count() const { return images_ * each_; }
  ConvBand operator[](int64_t i) const;

 private:
  ConvBand pointwise(int64_t i) const;
  ConvBand depthwise(int64_t i) const;
  kernels::ConvShape s_;
  int64_t images_, each_;
  int64_t step_;  // pixels, or rows of an image
};

// conv(x, w) + b as the kernels give it for the whole, bit for bit; all f32, b may be undefined.
// Where `moments` is not empty, those of the result.
Tensor forward_in_bands(const kernels::ConvShape& shape, const Deferred& x, const Tensor& w,
                        const Tensor& b, const kernels::ChannelMoments& moments = {});

struct BandedBackward {
  kernels::ConvShape shape;
  Deferred x;  // f32, or codes with one scale
  Tensor w;    // f32
  const Deferred& gy;
  bool want_x, want_w;
  const GradientWatch* watch;  // of x; null: nobody does
};

struct BandedGradients {
  Tensor gx, gw;  // undefined where not wanted
};

BandedGradients backward_in_bands(const BandedBackward& b);

}  // namespace stair::autograd
