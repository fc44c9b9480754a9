// Random convolutions for the tests of the float kernels, and the bound that their results keep.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/random.h"
#include "core/storage.h"
#include "kernels/conv/conv.h"

namespace stair::kernels {

// Floats between guard zones. NaN round an input shows a product that reads outside; a changed zone
// round an output shows a write.
class Guarded {
 public:
  explicit Guarded(int64_t count, float fill = 0.0F);
  float* data() { return reinterpret_cast<float*>(memory_.get()) + kZone; }
  int64_t count() const { return count_; }
  bool zones_intact() const;

 private:
  static constexpr int64_t kZone = 64;
  std::shared_ptr<std::byte> memory_;
  int64_t count_;
};

struct ConvCase {
  ConvShape s;
  Guarded x, w, bias, gy;
  std::string text() const;
};

// tiled: windows of 3x3 and stride 1, which Winograd kernels take; pointwise: those that read every
// pixel.
enum class ConvKind { dense, grouped, depthwise, tiled, pointwise };

std::string describe(const ConvShape& s);
// A small shape, the same for the same seed.
ConvShape random_conv_shape(uint64_t seed, ConvKind kind);
// A small convolution with uniform random numbers in [-1, 1], the same for the same seed.
ConvCase random_conv(uint64_t seed, ConvKind kind);
ConvCase conv_case(const ConvShape& s, uint64_t seed);

// Results in double, and the error that the contract allows.
struct ConvOracle {
  std::vector<double> value, error;
  // Empty, or where `got` is too far from the value.
  std::string compare(Guarded& got) const;
};
ConvOracle forward_oracle(ConvCase& c);
ConvOracle backward_data_oracle(ConvCase& c);
ConvOracle backward_weights_oracle(ConvCase& c);
// Rounds x to values of codes first.
ConvOracle codes_backward_weights_oracle(ConvCase& c);

// Run the active kernel into a buffer that held NaN.
Guarded run_forward(ConvCase& c);
Guarded run_backward_data(ConvCase& c);
Guarded run_backward_weights(ConvCase& c);
// x as codes, u8 or s8.
Guarded run_codes_backward_weights(ConvCase& c);

// The checks that every operation passes: agreement with the oracle on random shapes under each
// instruction set, and the same bits for 1, 2 and 4 threads. They report through GoogleTest.
using RunConv = Guarded (*)(ConvCase&);
using OracleOfConv = ConvOracle (*)(ConvCase&);
void expect_agreement(RunConv run, OracleOfConv oracle, ConvKind kind, int cases);
void expect_agreement(RunConv run, OracleOfConv oracle, const std::vector<ConvShape>& shapes);
// Sums of 100,000 and more products of one sign, where rounding errors grow most.
void expect_agreement_of_long_sums(RunConv run, OracleOfConv oracle);
void expect_same_bits_for_any_threads(RunConv run, const std::vector<ConvShape>& shapes);

}  // namespace stair::kernels
