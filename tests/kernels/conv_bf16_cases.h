// Random convolutions for the tests of the bf16 backward passes, and the bounds that results keep.
#pragma once

#include <string>
#include <vector>

#include "kernels/conv_bf16/conv_bf16.h"
#include "tests/kernels/conv_cases.h"

namespace stair::kernels {

// Codes and a gradient in memory of their exact size, so that a sanitizer sees every byte read
// beside them.
struct Bf16Case {
  ConvShape s;
  int terms = 1;
  bool x_signed = false;
  int32_t x_zero_point = 0;
  std::vector<uint8_t> x;
  std::vector<int8_t> w;
  std::vector<float> w_scale, gy;
  std::string text() const;
};

// The shape drawn for `seed`, dense or grouped, with codes over their whole range; terms, sign and
// zero point differ from seed to seed.
Bf16Case random_bf16_case(uint64_t seed, ConvKind kind);
Bf16Case bf16_case(const ConvShape& s, int terms, uint64_t seed);

// A backward pass as a test sees it.
struct Bf16Pass {
  const char* op;
  int64_t (*outputs)(const ConvShape&);
  void (*run)(const void* impl, const Bf16Case&, float* to);
  // In double and without rounding the gradient; of the absolute values for bounds.
  std::vector<double> (*exact)(const Bf16Case&, bool absolute);
};
extern const Bf16Pass kBf16Data, kBf16Weights;

// The kernels that this machine can run, each under its instruction set, the reference first. All
// take every shape but depthwise ones, whether they are the fastest there or not.
std::vector<Entry> kernels_of(const Bf16Pass& pass);
// What a kernel writes into a buffer that held NaN.
Guarded result(const Bf16Pass& pass, const Entry& kernel, const Bf16Case& c);
// Expects `got` to keep to the reference within the contract's bound for f32 sums.
void expect_close(const Bf16Pass& pass, const Bf16Case& c, Guarded& got, const std::string& note);
// The root of the mean square error against double, relative to that of the values.
double relative_error(const Bf16Pass& pass, const Bf16Case& c, Guarded& got);

// Of networks: the first layer, strided and plain layers, 1x1, linear, groups.
std::vector<ConvShape> network_shapes();

}  // namespace stair::kernels
