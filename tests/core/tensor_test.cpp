#include "core/tensor.h"

#include <gtest/gtest.h>

namespace stair {

TEST(Tensor, SliceSharesTheMemoryOfItsRows) {
  Tensor t = Tensor::from<float>({0, 1, 2, 3, 4, 5}, {3, 2});
  Tensor rows = t.slice(1, 3);
  EXPECT_EQ(rows.shape(), (Shape{2, 2}));
  rows.data<float>()[0] = 7;
  EXPECT_EQ(t.data<float>()[2], 7);
}

TEST(Tensor, WrongElementTypeNamesBoth) {
  Tensor t = Tensor::zeros({2}, DType::u8);
  try {
    t.data<float>();
    FAIL();
  } catch (const DTypeError& error) {
    EXPECT_STREQ(error.what(), "tensor [2] u8 was asked for as f32");
  }
}

TEST(Tensor, ReshapeOfAnotherCountIsRefused) {
  EXPECT_THROW(Tensor::zeros({2, 3}, DType::f32).reshape({5}), ShapeError);
}

TEST(Tensor, PerChannelParametersMustMatchTheChannels) {
  Tensor t = Tensor::zeros({4, 2}, DType::s8);
  EXPECT_THROW(t.with_qparams({{0.1F, 0.2F}, {0, 0}, 0, -128, 127}), ShapeError);
  EXPECT_EQ(t.with_qparams({{0.1F, 0.2F}, {0, 0}, 1, -128, 127}).qparams().scale[1], 0.2F);
}

TEST(Storage, FreedBlocksAreReused) {
  { Tensor t = Tensor::empty({1000}, DType::f32); }
  const size_t calls = memory_stats().system_calls;
  { Tensor t = Tensor::empty({1000}, DType::f32); }
  EXPECT_EQ(memory_stats().system_calls, calls);
}

TEST(Storage, PeakCountsWhatIsLiveAtOnce) {
  release_cached_memory();
  reset_peak_memory();
  const size_t before = memory_stats().live_bytes;
  { Tensor a = Tensor::empty({1024}, DType::f32), b = Tensor::empty({1024}, DType::f32); }
  EXPECT_GE(memory_stats().peak_bytes, before + 8192);
  EXPECT_EQ(memory_stats().live_bytes, before);
}

}  // namespace stair
