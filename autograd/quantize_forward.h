// What quantize and fake_quantize share.
#pragma once

#include "autograd/variable.h"

namespace stair::autograd {

// The integers of x, with their parameters, and the mask of the straight-through gradient.
struct Quantized {
  Tensor q;
  Tensor inside;  // b1, x.numel() bits; undefined unless asked for
};

// x real; a formula is read in pieces, of pixels their bytes, where one scale serves the tensor.
// Throws ShapeError, DTypeError, ConfigError when the parameters do not fit x or dtype.
Quantized quantize_forward(const char* op, const Deferred& x, const QParams& qparams, DType dtype,
                           bool relu, bool want_mask);

// gy where the mask is set, else 0, in element type `dtype`.
Tensor apply_mask(const Tensor& inside, const Tensor& gy, DType dtype);

// The smallest of u8, s8 and s32 that holds qmin to qmax.
DType code_type(const QParams& qparams);

// Parameters as attributes of a record, and back. Scales travel as their bits, so they are exact.
Attributes qparams_attributes(const QParams& qparams);
QParams qparams_of(const Attributes& attributes);

}  // namespace stair::autograd
