// Chance in quantizers: numbers that depend on a key and the place of an element alone, so they are
// the same for any number of threads, in forward and in backward.
#pragma once

#include "autograd/variable.h"
#include "core/parallel.h"
#include "core/random.h"

namespace stair::qat {

// A key from the stream whose state training saves.
inline uint64_t draw_noise_key() {
  const uint64_t high = autograd::default_random().bits();
  return high << 32 | autograd::default_random().bits();
}

// Calls f(i, u) for the elements 0 to n - 1, in parallel; u is the element's own number, uniform in
// [0, 1) with 24 bits.
template <class F>
void for_each_with_noise(uint64_t key, int64_t n, const F& f) {
  parallel_for((n + 3) / 4, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const auto bits = philox(key, static_cast<uint64_t>(block), 0);
      for (int64_t i = 4 * block; i < std::min(4 * block + 4, n); ++i)
        f(i, static_cast<float>(bits[static_cast<size_t>(i % 4)] >> 8) * 0x1p-24F);
    }
  });
}

}  // namespace stair::qat
