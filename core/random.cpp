#include "core/random.h"

#include <cmath>

namespace stair {

std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_low, uint64_t counter_high) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  std::array<uint32_t, 4> c = {
      static_cast<uint32_t>(counter_low), static_cast<uint32_t>(counter_low >> 32),
      static_cast<uint32_t>(counter_high), static_cast<uint32_t>(counter_high >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0], p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

uint32_t Random::bits() {
  const uint64_t index = state_.position / 4;
  if (index != block_index_) {
    block_ = philox(state_.seed, index, state_.stream);
    block_index_ = index;
  }
  return block_[state_.position++ % 4];
}

float Random::uniform() {
  return static_cast<float>(bits() >> 8) * 0x1p-24F;
}

uint64_t Random::below(uint64_t bound) {
  const uint64_t limit = ~uint64_t{0} - (~uint64_t{0} % bound + 1) % bound;
  for (;;) {
    const uint64_t high = bits(), value = (high << 32) | bits();
    if (value <= limit) return value % bound;
  }
}

float Random::normal() {
  const double u = (bits() + 1.0) * 0x1p-32, v = bits() * 0x1p-32;
  return static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v));
}

}  // namespace stair
