#include <gtest/gtest.h>

#include "core/cpu.h"
#include "core/error.h"
#include "core/parallel.h"
#include "kernels/registry.h"
#include "tests/kernels/conv_int8_cases.h"

namespace stair::kernels {

// Of amx_emulated_vnni.cpp.
void register_conv_int8_amx_emulated(Registry& r);
// Uses of tiles that hardware would refuse so far, plus threads that hold tiles now.
int amx_emulation_faults();

namespace {

// The output of the emulated kernel.
std::vector<uint8_t> run_emulated(const Int8Case& c, const ChannelMoments& moments = {}) {
  Registry registry;
  register_conv_int8_amx_emulated(registry);
  const auto& impl = *static_cast<const ConvInt8::Impl*>(registry.all().at(0).impl);
  std::vector<std::byte> packed(impl.packed_bytes(c.args) + 64);
  ConvInt8::Args args = c.args;
  void* aligned =
      reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(packed.data()) + 63) / 64 * 64);
  impl.pack(args, aligned);
  std::vector<uint8_t> y(c.output_bytes());
  args.packed = aligned;
  args.y = y.data();
  args.moments = moments;
  impl.bind(args)();
  return y;
}

void expect_emulated_exact(const Int8Case& c, const std::string& note) {
  const int64_t at = first_difference(c, c.run(Isa::ref), run_emulated(c));
  EXPECT_EQ(at, -1) << "emulated AMX differs from the reference at output " << at << ", " << note
                    << ": " << c.describe();
  EXPECT_EQ(amx_emulation_faults(), 0) << c.describe();
}

}  // namespace

TEST(ConvInt8AmxExact, EmulatedTilesAgreeOnRandomShapes) {
  if (detected_isa() < Isa::vnni) GTEST_SKIP() << "the epilogue needs AVX-512";
  for (uint64_t seed = 5000; seed < 5200; ++seed)
    expect_emulated_exact(random_int8_case(seed, false), str("seed ", seed));
}

TEST(ConvInt8AmxExact, EmulatedTilesGatherMoments) {
  if (detected_isa() < Isa::vnni) GTEST_SKIP() << "the epilogue needs AVX-512";
  for (uint64_t seed = 5000; seed < 5200; ++seed) {
    Int8Case c = random_int8_case(seed, false);
    c.set_output(ConvOutput::real);
    Int8Moments m(c.args.s.o);
    EXPECT_EQ(run_emulated(c, m.targets()), run_emulated(c));
    expect_moments(c, m);
  }
}

TEST(ConvInt8AmxExact, EmulatedTilesAgreeOnPackedWeights) {
  if (detected_isa() < Isa::vnni) GTEST_SKIP() << "the epilogue needs AVX-512";
  for (uint64_t seed = 6000; seed < 6100; ++seed) {
    Int8Case c = random_int8_case(seed, false);
    c.use_few_bits(seed % 2 == 0 ? 4 : 2);
    c.set_packed(true);
    expect_emulated_exact(c, str("seed ", seed));
  }
}

TEST(ConvInt8AmxExact, EmulatedTilesAgreeOnLargerShapes) {
  if (detected_isa() < Isa::vnni) GTEST_SKIP() << "the epilogue needs AVX-512";
  // x read in place, rows that end within the upper and the lower tile, one and two tiles of
  // channels
  const ConvShape shapes[] = {
      {.n = 1, .h = 7, .w = 7, .c = 64, .o = 40},
      {.n = 1, .h = 3, .w = 11, .c = 128, .o = 16},
      {.n = 1, .h = 8, .w = 8, .c = 20, .o = 70, .kh = 3, .kw = 3, .pad_top = 1, .pad_left = 1},
      {.n = 40,
       .h = 4,
       .w = 4,
       .c = 64,
       .o = 40,
       .kh = 3,
       .kw = 3,
       .pad_top = 1,
       .pad_left = 1,
       .pad_bottom = 1,
       .pad_right = 1}};
  for (const ConvShape& s : shapes) {
    for (bool is_signed : {false, true}) {
      for (int32_t zero_point : {9, 0}) {
        Random random(7);
        Int8Case c(s);
        c.fill(random);
        c.args.x_signed = is_signed;
        c.args.x_zero_point = zero_point - (is_signed ? 128 : 0);
        expect_emulated_exact(c, "larger shapes");
      }
    }
  }
}

}  // namespace stair::kernels
