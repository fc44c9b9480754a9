#include "core/arena.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "core/random.h"

namespace stair {
namespace {

TEST(Arena, NeighboursThatAreFreeBecomeOne) {
  Arena arena(size_t{1} << 20);
  std::byte* a = arena.take(100000);
  std::byte* b = arena.take(200000);
  std::byte* c = arena.take(300000);
  ASSERT_TRUE(a != nullptr && b != nullptr && c != nullptr);
  const size_t extent = arena.extent();
  arena.give(a, 100000);
  arena.give(c, 300000);
  arena.give(b, 200000);
  EXPECT_EQ(arena.take(600000), a);
  EXPECT_EQ(arena.extent(), extent);
}

TEST(Arena, TheSmallestStretchThatFitsIsTaken) {
  Arena arena(size_t{1} << 20);
  std::byte* large = arena.take(300000);
  std::byte* between = arena.take(1000);
  std::byte* small = arena.take(100000);
  std::byte* last = arena.take(1000);
  arena.give(large, 300000);
  arena.give(small, 100000);
  EXPECT_EQ(arena.take(90000), small);
  EXPECT_EQ(arena.take(290000), large);
  arena.give(between, 1000);
  arena.give(last, 1000);
}

TEST(Arena, WhatDoesNotFitIsRefused) {
  Arena arena(size_t{1} << 20);
  EXPECT_EQ(arena.take(size_t{2} << 20), nullptr);
  EXPECT_EQ(arena.take(~size_t{0} - 10), nullptr);
  EXPECT_NE(arena.take(1000), nullptr);
}

TEST(Arena, ReleasedPagesCanBeUsedAgain) {
  Arena arena(size_t{64} << 20);
  std::byte* a = arena.take(size_t{32} << 20);
  std::memset(a, 1, size_t{32} << 20);
  arena.give(a, size_t{32} << 20);
  arena.release();
  std::byte* b = arena.take(size_t{32} << 20);
  ASSERT_EQ(b, a);
  EXPECT_EQ(b[12345], std::byte{0});
}

// Blocks of random sizes, each filled with a pattern of its own that must stay.
TEST(Arena, BlocksNeverOverlap) {
  struct Block {
    std::byte* begin;
    size_t size;
    unsigned char pattern;
  };
  Arena arena(size_t{16} << 20);
  std::vector<Block> blocks;
  Random random(3, 0);
  for (int i = 0; i < 3000; ++i) {
    const bool take = blocks.size() < 5 || random.uniform() < 0.5F;
    if (take) {
      const size_t size = 1 + static_cast<size_t>(random.uniform() * 200000);
      std::byte* begin = arena.take(size);
      if (begin == nullptr) continue;
      ASSERT_EQ(reinterpret_cast<uintptr_t>(begin) % 64, 0u);
      const auto pattern = static_cast<unsigned char>(i);
      std::memset(begin, pattern, size);
      blocks.push_back({begin, size, pattern});
      continue;
    }
    const size_t at = static_cast<size_t>(random.uniform() * static_cast<float>(blocks.size()));
    const Block block = blocks[std::min(at, blocks.size() - 1)];
    for (size_t j = 0; j < block.size; j += 97) ASSERT_EQ(block.begin[j], std::byte{block.pattern});
    arena.give(block.begin, block.size);
    blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(std::min(at, blocks.size() - 1)));
  }
}

}  // namespace
}  // namespace stair
