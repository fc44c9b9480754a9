// What this machine can do at most: the yardstick of the tables of layers.
#pragma once

#include <string>
#include <vector>

#include "core/json.h"

namespace stair::apps {

struct Peak {
  std::string name;  // "f32 fma avx512"
  double value;      // measured, with as many threads as loops use
  const char* unit;  // "GFLOP/s", "GOP/s", "GB/s"
};

// The peaks that layers are compared with, in units a second.
struct Peaks {
  std::vector<Peak> all;
  double f32 = 0, int8 = 0;  // operations under the active instruction set; 0: not measured
  double memory = 0;         // bytes of the triad beyond the caches
};

// Multiply-adds from registers under every instruction set that the machine has and
// STAIR_ISA allows, and the triad a = b + s * c in the second-level cache and in memory (12 bytes
// an element). About two seconds.
Peaks measure_peaks();

std::string to_string(const Peaks& peaks);
Json to_json(const Peaks& peaks);

}  // namespace stair::apps
