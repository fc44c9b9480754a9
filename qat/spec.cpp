#include "qat/spec.h"

#include "core/error.h"

namespace stair::qat {

void set_bits(QuantizationSpec& spec, int bits) {
  if (bits < 2 || bits > 8)
    throw ConfigError(str("quantization: ", bits, " bits, expected 2 to 8"));
  spec.bits = bits;
  spec.qmin = spec.is_signed ? -(1 << (bits - 1)) : 0;
  spec.qmax = spec.is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
}

void validate(const QuantizationSpec& spec) {
  if (spec.bits < 2 || spec.bits > 8)
    throw ConfigError(str("quantization: ", spec.bits, " bits, expected 2 to 8"));
  const int32_t low = spec.is_signed ? -128 : 0, high = spec.is_signed ? 127 : 255;
  if (spec.qmin < low || spec.qmax > high || spec.qmin >= spec.qmax || spec.qmin > 0 ||
      spec.qmax < 0)
    throw ConfigError(str("quantization: range [", spec.qmin, ",", spec.qmax, "] for ",
                          spec.dtype(), ", expected qmin <= 0 <= qmax, qmin < qmax within [", low,
                          ",", high, "]"));
  if (spec.symmetric && !spec.is_signed && spec.qmax - spec.qmin < high - low && spec.bits == 8)
    throw ConfigError("quantization: a reduced u8 range cannot be symmetric",
                      "use s8, or an affine scheme");
  if (!(spec.eps >= 0x1p-23F && spec.eps < 1))
    throw ConfigError(str("quantization: eps ", spec.eps, ", expected 2^-23 to 1"));
  const bool usual = spec.quantizer == "ste" && !spec.is_signed && !spec.symmetric &&
                     !spec.is_weight && spec.axis < 0 && spec.qmin == 0 && spec.qmax == 255 &&
                     spec.eps == QuantizationSpec{}.eps;
  if (spec.is_dynamic && !usual)
    throw ConfigError(
        "quantization: a dynamic range is for activations of 8 bits, u8 affine per "
        "tensor, with the quantizer ste");
  if (spec.group_size != 0 &&
      (spec.group_size < 2 || !spec.is_weight || spec.axis != 0 || !spec.symmetric))
    throw ConfigError(str("quantization: groups of ", spec.group_size,
                          ", expected at least 2, for symmetric weights with axis 0"));
  if (!(spec.percentile >= 50 && spec.percentile <= 100))
    throw ConfigError(str("quantization: percentile ", spec.percentile, ", expected 50 to 100"));
  if (!(spec.averaging_constant > 0 && spec.averaging_constant <= 1))
    throw ConfigError(str("quantization: averaging constant ", spec.averaging_constant,
                          ", expected above 0 and at most 1"));
}

QuantizationSpec activation_spec(int bits) {
  QuantizationSpec spec;
  set_bits(spec, bits);
  return spec;
}

QuantizationSpec weight_spec(int bits) {
  QuantizationSpec spec;
  spec.is_weight = true;
  spec.is_signed = true;
  spec.symmetric = true;
  spec.axis = 0;
  spec.averaging_constant = 1;
  set_bits(spec, bits);
  return spec;
}

std::string describe(const QuantizationSpec& spec) {
  return str(spec.quantizer, " ", spec.dtype(), " ", spec.bits, " bits ",
             spec.symmetric ? "symmetric" : "affine", " ", spec.is_dynamic ? "dynamic " : "",
             spec.group_size > 0 ? str("per group of ", spec.group_size)
             : spec.axis < 0     ? "per tensor"
                                 : "per channel",
             spec.int8_bias ? ", int8 bias" : "");
}

}  // namespace stair::qat
