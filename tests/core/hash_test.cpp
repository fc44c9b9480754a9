#include "core/hash.h"

#include <gtest/gtest.h>

#include <vector>

namespace stair {
namespace {

struct Vector {
  size_t length;
  uint64_t hash;
};
constexpr Vector kVectors[] = {
#include "hash_vectors.inc"
};

std::vector<std::byte> rule_bytes(size_t count) {
  std::vector<std::byte> bytes(count);
  for (uint32_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>((i * 2654435761U) >> 24);
  return bytes;
}

}  // namespace

TEST(HashGolden, EqualsLibxxhashAtEveryLength) {
  const std::vector<std::byte> bytes = rule_bytes(1000003);
  for (const Vector& v : kVectors)
    EXPECT_EQ(hash64(std::span(bytes).first(v.length)), v.hash) << v.length << " bytes";
}

TEST(HashGolden, StreamsInOddChunksEqualTheWhole) {
  const std::vector<std::byte> bytes = rule_bytes(100000);
  for (size_t chunk : {1, 3, 63, 64, 65, 1000, 1023, 1024, 1025, 1089, 2048, 5001}) {
    for (const Vector& v : kVectors) {
      if (v.length > bytes.size() || v.length % 7 > 1) continue;
      Hasher hasher;
      std::span<const std::byte> rest = std::span(bytes).first(v.length);
      while (!rest.empty()) {
        const size_t part = std::min(chunk, rest.size());
        hasher.update(rest.first(part));
        rest = rest.subspan(part);
      }
      ASSERT_EQ(hasher.digest(), v.hash) << v.length << " bytes by " << chunk;
    }
  }
}

TEST(Hash, DigestLeavesTheStreamOpen) {
  const std::vector<std::byte> bytes = rule_bytes(3000);
  Hasher hasher;
  for (size_t i = 0; i < bytes.size(); i += 100) {
    EXPECT_EQ(hasher.digest(), hash64(std::span(bytes).first(i)));
    hasher.update(std::span(bytes).subspan(i, 100));
  }
}

TEST(Hash, PrintsSixteenDigits) {
  EXPECT_EQ(hex(0xab01), "000000000000ab01");
}

}  // namespace stair
