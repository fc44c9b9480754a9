// Random integer convolutions for the tests that compare kernels with the reference.
#pragma once

#include <string>
#include <vector>

#include "core/random.h"
#include "kernels/conv_int8/conv_int8.h"

namespace stair::kernels {

// A convolution with the memory of all its operands, sized exactly, so that a sanitizer sees every
// byte read beside them.
struct Int8Case {
  ConvInt8::Args args;  // pointers into the vectors below; y and packed unset
  std::vector<uint8_t> x, residual;
  std::vector<int8_t> w;
  std::vector<uint8_t> packed_w;
  int few_bits = 8;
  std::vector<float> multiplier, bias;
  std::vector<int32_t> bias_s32, w_zero_point;

  explicit Int8Case(const ConvShape& s) { args.s = s; }
  Int8Case(const Int8Case&) = delete;
  Int8Case(Int8Case&&) = default;

  // Random codes, weights, multipliers; a code output whose range the results fill.
  void fill(Random& random);
  void set_output(ConvOutput output);
  void use_bias(Random& random);
  void use_bias_s32(Random& random);
  void use_w_zero_point(Random& random);
  void use_residual(Random& random);
  // Cuts the weights to 4 or 2 bits.
  void use_few_bits(int bits);
  // Of few bits: several a byte, or a byte each.
  void set_packed(bool packed);
  size_t output_bytes() const;
  std::string describe() const;
  // The output of the kernel that instruction set `isa` chooses.
  std::vector<uint8_t> run(Isa isa, const ChannelMoments& moments = {}) const;
};

// Memory for ChannelMoments.
struct Int8Moments {
  std::vector<double> mean, squares;
  std::vector<float> min, max;

  explicit Int8Moments(int64_t channels);
  ChannelMoments targets() { return {mean.data(), squares.data(), min.data(), max.data()}; }
  bool operator==(const Int8Moments&) const = default;
};
// Expects moments of c's real results to be the reference's but for the rounding of sums.
void expect_moments(const Int8Case& c, const Int8Moments& m);

// Windows 1 to 5, strides to 3, dilation, uneven padding, groups; `depthwise` sets groups = C = O.
ConvShape random_conv_shape(Random& random, bool depthwise);
// A case with every option drawn at random.
Int8Case random_int8_case(uint64_t seed, bool depthwise);

// Number of the first output element that differs, -1 when none does. Floats differ when their bits
// do, but for NaN and NaN.
int64_t first_difference(const Int8Case& c, const std::vector<uint8_t>& a,
                         const std::vector<uint8_t>& b);
// Instruction sets of this machine but the reference.
std::vector<Isa> fast_isas();
// Expects `isa`'s output to be the reference's.
void expect_exact(const Int8Case& c, Isa isa, const std::string& note);

}  // namespace stair::kernels
