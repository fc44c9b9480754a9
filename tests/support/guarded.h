// Buffers and loops for testing kernels.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "core/random.h"

namespace stair::test {

// `n` elements between two guard zones. The zones hold a pattern that `intact` looks for; the
// elements start out as garbage.
template <class T>
class Guarded {
 public:
  // Not inlined: gcc 12 else warns of an overflow of n + 2 * kZone that no test asks for.
  [[gnu::noinline]] explicit Guarded(int64_t n) : n_(static_cast<size_t>(n)), all_(n_ + 2 * kZone) {
    std::memset(all_.data(), kPattern, all_.size() * sizeof(T));
  }
  Guarded(const std::vector<T>& values) : Guarded(static_cast<int64_t>(values.size())) {
    for (size_t i = 0; i < n_; ++i) all_[kZone + i] = values[i];
  }
  T* data() { return all_.data() + kZone; }
  const T* data() const { return all_.data() + kZone; }
  T& operator[](int64_t i) { return data()[i]; }
  std::vector<T> values() const {
    std::vector<T> copy(n_);
    for (size_t i = 0; i < n_; ++i) copy[i] = all_[kZone + i];
    return copy;
  }
  bool intact() const { return zone_intact(all_.data()) && zone_intact(data() + n_); }

 private:
  static constexpr size_t kZone = 128;
  static constexpr unsigned char kPattern = 0xA5;
  static bool zone_intact(const T* zone) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(zone);
    for (size_t i = 0; i < kZone * sizeof(T); ++i)
      if (bytes[i] != kPattern) return false;
    return true;
  }
  size_t n_;
  std::vector<T> all_;
};

// Runs f under every instruction set of the machine.
template <class F>
void for_each_isa(const F& f) {
  for (Isa isa : available_isas()) {
    const IsaScope scope(isa);
    SCOPED_TRACE(name(isa));
    f();
  }
}

// f() returns values; they must be the same bits for 1, 2 and 4 threads.
template <class F>
void expect_same_for_any_thread_count(const F& f) {
  const int before = num_threads();
  set_num_threads(1);
  const auto one = f();
  for (int threads : {2, 4}) {
    set_num_threads(threads);
    const auto many = f();
    ASSERT_EQ(one.size(), many.size());
    EXPECT_EQ(0, std::memcmp(one.data(), many.data(), one.size() * sizeof(one[0])))
        << threads << " threads";
  }
  set_num_threads(before);
}

inline std::vector<float> random_normal(Random& random, int64_t n, float mean = 0,
                                        float deviation = 1) {
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = mean + deviation * random.normal();
  return values;
}

inline std::vector<double> widened(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

// |got - expected| <= bound * max(|expected|, size) for every element; `size` is the magnitude of
// what was summed.
inline void expect_close(const std::vector<float>& got, const std::vector<double>& expected,
                         double size = 1e-30, double bound = 1e-5) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_LE(std::abs(got[i] - expected[i]), bound * std::max(std::abs(expected[i]), size))
        << "element " << i << " of " << got.size() << " is " << got[i] << ", expected "
        << expected[i];
}

}  // namespace stair::test
