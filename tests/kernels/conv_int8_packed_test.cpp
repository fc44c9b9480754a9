// Weights of 4 and 2 bits: the integers of the 8-bit kernels on the same codes.
#include <gtest/gtest.h>

#include "core/cpu.h"
#include "core/error.h"
#include "core/packed_codes.h"
#include "tests/kernels/conv_int8_cases.h"
#include "tests/support/sanitizers.h"

namespace stair::kernels {
namespace {

// Every kernel on packed weights, the reference with it, against the reference on whole bytes.
void expect_packed_exact(Int8Case& c, int bits, const std::string& note) {
  c.use_few_bits(bits);
  c.set_packed(false);
  const std::vector<uint8_t> expected = c.run(Isa::ref);
  c.set_packed(true);
  for (Isa isa : available_isas())
    EXPECT_EQ(first_difference(c, expected, c.run(isa)), -1)
        << name(isa) << ", " << note << ": " << c.describe();
}

TEST(ConvInt8PackedExact, WholeBytesAndPackedWeightsAgreeOnRandomShapes) {
  for (int bits : {4, 2})
    for (uint64_t seed = 0; seed < support::kRandomShapes; ++seed) {
      Int8Case c = random_int8_case(seed, false);
      expect_packed_exact(c, bits, str("seed ", seed));
    }
}

TEST(ConvInt8PackedExact, WholeBytesAndPackedWeightsAgreeOnDepthwiseShapes) {
  for (int bits : {4, 2})
    for (uint64_t seed = 0; seed < 250; ++seed) {
      Int8Case c = random_int8_case(seed, true);
      expect_packed_exact(c, bits, str("seed ", seed));
    }
}

// Panels of many blocks, cut into tasks of rows and of panels; a linear layer of one row.
TEST(ConvInt8PackedExact, LargeLayersAgree) {
  const ConvShape shapes[] = {
      {.n = 2, .h = 23, .w = 19, .c = 36, .o = 100, .kh = 3, .kw = 3, .pad_top = 1, .pad_left = 1},
      {.n = 1, .h = 5, .w = 5, .c = 260, .o = 330, .kh = 3, .kw = 3},
      {.n = 1, .h = 1, .w = 1, .c = 1025, .o = 515}};
  uint64_t seed = 0;
  for (const ConvShape& s : shapes)
    for (int bits : {4, 2}) {
      Random random(++seed);
      Int8Case c(s);
      c.fill(random);
      expect_packed_exact(c, bits, "large");
    }
}

TEST(ConvInt8Packed, PanelsTakeAHalfAndAQuarterOfTheBytes) {
  Random random(1);
  Int8Case c(ConvShape{.h = 7, .w = 7, .c = 64, .o = 64, .kh = 3, .kw = 3});
  c.fill(random);
  for (Isa isa : fast_isas()) {
    const IsaScope scope(isa);
    const auto bytes = [&](int bits) {
      ConvInt8::Args args = c.args;
      args.w_bits = bits;
      size_t found = 0;
      select<ConvInt8>([&](const Entry&, const ConvInt8::Impl& impl) {
        if (impl.supports != nullptr && !impl.supports(args)) return false;
        found = impl.packed_bytes(args) - 64 * sizeof(int32_t);  // the sums of the channels
        return true;
      });
      return found;
    };
    // Instruction sets without byte products hold 8-bit weights in 16 bits.
    EXPECT_LE(bytes(4) * 2, bytes(8)) << name(isa);
    EXPECT_EQ(bytes(2) * 2, bytes(4)) << name(isa);
    EXPECT_EQ(bytes(4), static_cast<size_t>(64 * 64 * 9 / 2)) << name(isa);
  }
}

}  // namespace
}  // namespace stair::kernels
