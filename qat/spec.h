// How a tensor is to be quantized.
#pragma once

#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/qparams.h"

namespace stair::qat {

struct QuantizationSpec {
  std::string quantizer = "ste";                   // a file of qat/quantizers
  std::string observer = "moving_average_minmax";  // a file of qat/observers
  // How learned scales start: a method of the quantizer; empty: its own default.
  std::string init;
  bool is_weight = false;  // a tensor that the optimizer moves, not one that each batch brings
  int bits = 8;            // 2 to 8
  bool is_signed = false;  // codes s8 instead of u8
  bool symmetric = false;  // zero point fixed in the middle of the range (0 for s8)
  int axis = -1;           // channels of a scale each; -1: one scale for the tensor
  // Weights of linear layers: a scale for so many inputs of each output, 0: one for all of them.
  // The size must divide the inputs. Symmetric, axis 0.
  int64_t group_size = 0;
  int32_t qmin = 0;  // codes in use; `set_bits` gives the full range of the bits
  int32_t qmax = 255;
  // Of weights: what ships has a bias of s8 codes, too, symmetric, with a scale for the tensor.
  bool int8_bias = false;
  float eps = 0x1p-23F;  // the least scale that observers give
  double averaging_constant =
      0.01;  // moving average: m += c * (batch - m); 1: the current tensor alone

  // The range is that of the tensor itself, every time, at run time as well: no observer. u8, 8
  // bits, affine, per tensor, of activations that the quantizer ste quantizes.
  bool is_dynamic = false;

  double percentile = 99.99;     // of the observer percentile: 50 to 100
  float fixed_scale = 0;         // of the observer fixed
  int32_t fixed_zero_point = 0;  // the same

  DType dtype() const { return is_signed ? DType::s8 : DType::u8; }
  bool operator==(const QuantizationSpec&) const = default;
};

// Sets bits and the full range: [0, 2^b - 1] or [-2^(b-1), 2^(b-1) - 1].
void set_bits(QuantizationSpec& spec, int bits);

// Throws ConfigError unless 2 <= bits <= 8, qmin < qmax lie in the type and contain 0 (or a zero
// point), and the names exist.
void validate(const QuantizationSpec& spec);

// u8, affine, per tensor, moving average 0.01: activations of the x86 preset.
QuantizationSpec activation_spec(int bits = 8);
// s8, symmetric, one scale an output channel, following the current weight: weights of the x86
// preset.
QuantizationSpec weight_spec(int bits = 8);

// Prints as "ste u8 8 bits affine per tensor", "ste s8 4 bits symmetric per group of 32".
std::string describe(const QuantizationSpec& spec);

}  // namespace stair::qat
