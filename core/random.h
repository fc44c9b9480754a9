// Counter-based random numbers: any number of the stream can be computed on its own, so streams do
// not depend on threads. Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC
// 2011), Philox 4x32 with 10 rounds.
#pragma once

#include <array>
#include <cstdint>

namespace stair {

// Four 32-bit numbers for a 64-bit key and a 128-bit counter (here two 64-bit halves).
std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_low, uint64_t counter_high);

// A stream of numbers. Its whole state is three integers, which checkpoints save.
class Random {
 public:
  struct State {
    uint64_t seed, stream, position;  // position counts 32-bit numbers drawn
    bool operator==(const State&) const = default;
  };
  explicit Random(uint64_t seed, uint64_t stream = 0) : state_{seed, stream, 0} {}
  explicit Random(const State& state) : state_(state) {}

  uint32_t bits();
  // Uniform in [0, 1), 24 bits.
  float uniform();
  float uniform(float low, float high) { return low + (high - low) * uniform(); }
  // Uniform integer in [0, bound), without bias.
  uint64_t below(uint64_t bound);
  // Standard normal (Box-Muller).
  float normal();
  const State& state() const { return state_; }

 private:
  State state_;
  std::array<uint32_t, 4> block_{};
  uint64_t block_index_ = ~uint64_t{0};
};

}  // namespace stair
