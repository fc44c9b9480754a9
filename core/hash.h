// XXH3, 64 bits, seed 0: the checksum of our files and the fingerprint of weights and results.
//
// The values equal those of XXH3_64bits() in libxxhash. Not for secrets: collisions can be made at
// will. Source: Yann Collet, xxHash 0.8 (BSD 2-clause), https://github.com/Cyan4973/xxHash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace stair {

// Hash of a stream of bytes; how the bytes are cut into calls does not matter.
class Hasher {
 public:
  Hasher();
  Hasher& update(std::span<const std::byte> bytes);
  Hasher& update(std::string_view text) { return update(std::as_bytes(std::span(text))); }
  // Hash of all bytes so far; more may follow.
  uint64_t digest() const;

 private:
  static constexpr size_t kStripe = 64;
  static constexpr size_t kBlock = 1024;

  uint64_t total_ = 0;
  size_t pending_ = 0;  // bytes of the current block, which is mixed in once a byte follows it
  std::array<uint64_t, 8> acc_;
  // The last stripe before the block, then the block: the final stripe may reach back.
  std::array<std::byte, kStripe + kBlock> buffer_;
};

uint64_t hash64(std::span<const std::byte> bytes);
inline uint64_t hash64(std::string_view text) {
  return hash64(std::as_bytes(std::span(text)));
}

// The hash as 16 hexadecimal digits.
std::string hex(uint64_t hash);

}  // namespace stair
