#include "core/storage.h"

#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "core/tensor.h"

namespace stair {
namespace {

size_t peak_of(MemoryKind kind) {
  return memory_stats().peak_by_kind[static_cast<size_t>(kind)];
}

TEST(Storage, ThePeakIsToldApartByWhatItWasFor) {
  reset_peak_memory();
  const MemoryStats before = memory_stats();
  {
    const Tensor reals = Tensor::empty({1000}, DType::f32);
    const Tensor codes = Tensor::empty({3000}, DType::u8), mask = Tensor::empty({80000}, DType::b1);
    const Scratch scratch(size_t{2} << 20);
  }
  const MemoryStats after = memory_stats();
  const auto grown = [&](MemoryKind kind) {
    const size_t i = static_cast<size_t>(kind);
    return after.peak_by_kind[i] - before.peak_by_kind[i];
  };
  // Small blocks are at most a fifth larger than what was asked for.
  EXPECT_GE(grown(MemoryKind::reals), 4000U);
  EXPECT_LE(grown(MemoryKind::reals), 5000U);
  EXPECT_GE(grown(MemoryKind::codes), 3000U);
  EXPECT_LE(grown(MemoryKind::codes), 3750U);
  EXPECT_GE(grown(MemoryKind::masks), 10000U);
  EXPECT_EQ(grown(MemoryKind::scratch), size_t{2} << 20);
  EXPECT_EQ(std::accumulate(after.peak_by_kind.begin(), after.peak_by_kind.end(), size_t{0}),
            after.peak_bytes);
}

TEST(Storage, TheInnermostScopeDecidesAndScratchStaysScratch) {
  const MemoryScope outer(MemoryKind::parameters);
  {
    const MemoryScope inner(MemoryKind::loader);
    reset_peak_memory();
    const size_t loader = peak_of(MemoryKind::loader), scratch = peak_of(MemoryKind::scratch);
    const Tensor t = Tensor::empty({4096}, DType::f32);
    const Scratch block(size_t{2} << 20);
    EXPECT_EQ(peak_of(MemoryKind::loader), loader + 16384);
    EXPECT_EQ(peak_of(MemoryKind::scratch), scratch + (size_t{2} << 20));
  }
  reset_peak_memory();
  const size_t parameters = peak_of(MemoryKind::parameters);
  const Tensor t = Tensor::empty({4096}, DType::u8);
  EXPECT_EQ(peak_of(MemoryKind::parameters), parameters + 4096);
}

TEST(Storage, AScopeIsThatOfItsThread) {
  const MemoryScope here(MemoryKind::parameters);
  reset_peak_memory();
  const size_t codes = peak_of(MemoryKind::codes);
  std::thread([] { const Tensor t = Tensor::empty({4096}, DType::u8); }).join();
  EXPECT_EQ(peak_of(MemoryKind::codes), codes + 4096);
}

}  // namespace
}  // namespace stair
