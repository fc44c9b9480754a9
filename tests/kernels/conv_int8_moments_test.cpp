// Mean, squares and extremes of each channel, gathered while real results are written.
#include <gtest/gtest.h>

#include "core/cpu.h"
#include "core/parallel.h"
#include "tests/kernels/conv_int8_cases.h"
#include "tests/support/sanitizers.h"

namespace stair::kernels {
namespace {

Int8Moments moments_of(const Int8Case& c, Isa isa) {
  Int8Moments m(c.args.s.o);
  EXPECT_EQ(c.run(isa, m.targets()), c.run(isa)) << "y changes: " << c.describe();
  return m;
}

TEST(ConvInt8Moments, EveryInstructionSetAgreesOnRandomShapes) {
  for (const bool depthwise : {false, true})
    for (uint64_t seed = 0; seed < support::kRandomShapes; ++seed) {
      Int8Case c = random_int8_case(seed, depthwise);
      c.set_output(ConvOutput::real);
      for (Isa isa : fast_isas()) expect_moments(c, moments_of(c, isa));
    }
}

// Shapes of several tasks, whose results lie far from zero.
Int8Case large(bool depthwise, Random& random) {
  ConvShape s{.n = 3, .h = 40, .w = 40, .c = 40, .o = 72, .kh = 3, .kw = 3};
  if (depthwise) s.o = s.groups = s.c;
  s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = 1;
  Int8Case c(s);
  c.fill(random);
  c.set_output(ConvOutput::real);
  c.use_bias(random);
  for (float& b : c.bias) b = 1e3F * (1 + std::abs(b));
  return c;
}

TEST(ConvInt8Moments, AreAccurateFarFromZeroAndDoNotDependOnThreads) {
  Random random(3);
  const int before = num_threads();
  for (const bool depthwise : {false, true}) {
    const Int8Case c = large(depthwise, random);
    for (Isa isa : fast_isas()) {
      expect_moments(c, moments_of(c, isa));
      set_num_threads(1);
      const Int8Moments one = moments_of(c, isa);
      set_num_threads(3);
      EXPECT_EQ(moments_of(c, isa), one) << name(isa);
      set_num_threads(before);
    }
  }
}

}  // namespace
}  // namespace stair::kernels
