// Loops that keep the arithmetic units as busy as they can be.
#pragma once

#include <cstdint>
#include <vector>

namespace stair::apps {

enum class PeakKind { f32, bf16, int8 };

struct PeakLoop {
  const char* name;
  PeakKind kind;
  bool integer;
  double operations;            // of one round; a multiply-add is two
  void (*run)(int64_t rounds);  // on one thread
};

// Those that the machine can run and the active instruction set allows.
std::vector<PeakLoop> peak_loops();

// a = b + 3 * c
void triad(int64_t n, const float* b, const float* c, float* a);

}  // namespace stair::apps
