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

// A backward pass as a test sees it: by the kernel that the registry chooses, or by one in hand.
struct Bf16Pass {
  int64_t (*outputs)(const ConvShape&);
  void (*run)(const Bf16Case&, float* to);
  void (*run_with)(const void* impl, const Bf16Case&, float* to);
  // In double and without rounding the gradient; of the absolute values for bounds.
  std::vector<double> (*exact)(const Bf16Case&, bool absolute);
};
extern const Bf16Pass kBf16Data, kBf16Weights;

// What the pass yields into a buffer that held NaN; `impl` null: by the registry.
Guarded result(const Bf16Pass& pass, const Bf16Case& c, const void* impl = nullptr);
// Expects `got` to keep within 1e-5 of the reference, relative to the sums of absolute products.
void expect_close(const Bf16Pass& pass, const Bf16Case& c, Guarded& got, const std::string& note);
// The root of the mean square error against double, relative to that of the values.
double relative_error(const Bf16Pass& pass, const Bf16Case& c, Guarded& got);

// Of networks: the first layer, strided and plain layers, 1x1, linear, groups.
std::vector<ConvShape> network_shapes();

}  // namespace stair::kernels
