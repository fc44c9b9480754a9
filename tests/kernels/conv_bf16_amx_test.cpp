// The AMX kernels of the bf16 backward passes on emulated tiles.
#include <gtest/gtest.h>

#include <cstring>

#include "core/cpu.h"
#include "core/error.h"
#include "core/parallel.h"
#include "tests/kernels/conv_bf16_cases.h"
#include "tests/support/sanitizers.h"

namespace stair::kernels {

// Of amx_emulated_avx512bf16.cpp.
void register_conv_bf16_amx_emulated(Registry& r);
// Uses of tiles that hardware would refuse so far, plus threads that hold tiles now.
int amx_bf16_emulation_faults();

namespace {

class ConvBf16Amx : public testing::TestWithParam<const Bf16Pass*> {
 protected:
  void SetUp() override {
    if (detected_isa() < Isa::vnni || !__builtin_cpu_supports("avx512bf16"))
      GTEST_SKIP() << "packing needs AVX-512 BF16";
  }

  const Bf16Pass& pass() const { return *GetParam(); }

  Guarded run(const Bf16Case& c) const {
    Registry registry;
    register_conv_bf16_amx_emulated(registry);
    for (Entry entry : registry.all())
      if (entry.op == std::string(pass().op)) {
        entry.isa = detected_isa();  // the emulation needs no more
        return result(pass(), entry, c);
      }
    throw Error("no emulated kernel");
  }

  void expect_agreement(const Bf16Case& c) const {
    Guarded got = run(c);
    expect_close(pass(), c, got, "emulated AMX");
    ASSERT_EQ(amx_bf16_emulation_faults(), 0) << c.text();
  }
};

TEST_P(ConvBf16Amx, AgreesWithTheReferenceOnRandomShapes) {
  for (uint64_t seed = 0; seed < support::kRandomShapes && !HasFatalFailure(); ++seed)
    expect_agreement(
        random_bf16_case(3000 + seed, seed % 3 == 0 ? ConvKind::grouped : ConvKind::dense));
}

TEST_P(ConvBf16Amx, AgreesWithTheReferenceOnShapesOfNetworks) {
  for (const ConvShape& s : network_shapes())
    for (int terms : {1, 2}) expect_agreement(bf16_case(s, terms, 1));
}

TEST_P(ConvBf16Amx, IsFarMoreExactWithTwoTerms) {
  const ConvShape s{.n = 2, .h = 12, .w = 12, .c = 24, .o = 70, .kh = 3, .kw = 3};
  for (int terms : {1, 2}) {
    const Bf16Case c = bf16_case(s, terms, 5);
    Guarded got = run(c);
    const double error = relative_error(pass(), c, got);
    EXPECT_GT(error, terms == 1 ? 1e-3 : 1e-7);
    EXPECT_LT(error, terms == 1 ? 2.5e-3 : 4e-6);
  }
}

TEST_P(ConvBf16Amx, GivesTheSameBitsForAnyNumberOfThreads) {
  const int before = num_threads();
  for (const ConvShape& s : network_shapes()) {
    const Bf16Case c = bf16_case(s, 2, 2);
    set_num_threads(1);
    Guarded one = run(c);
    set_num_threads(4);
    Guarded four = run(c);
    EXPECT_EQ(
        0, std::memcmp(one.data(), four.data(), sizeof(float) * static_cast<size_t>(one.count())))
        << c.text();
  }
  set_num_threads(before);
}

INSTANTIATE_TEST_SUITE_P(Passes, ConvBf16Amx, testing::Values(&kBf16Data, &kBf16Weights),
                         [](const auto& info) {
                           return std::string(info.param == &kBf16Data ? "Data" : "Weights");
                         });

}  // namespace
}  // namespace stair::kernels
