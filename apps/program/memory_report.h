// The peak of a step's memory by what it was for.
#pragma once

#include <string>

#include "core/json.h"
#include "core/storage.h"

namespace stair::apps {

// Two statistics of one process: `before` and `after` the steps that are reported, with
// reset_peak_memory() in between.
struct MemoryReport {
  MemoryStats before, after;
  size_t resident_peak = 0;  // of the process so far, with code, libraries and files in memory

  size_t system_calls() const { return after.system_calls - before.system_calls; }
};

// Starts a peak, and ends it.
MemoryReport begin_memory_report();
void end_memory_report(MemoryReport& report);

// The most memory that this process ever held, and what it holds now.
size_t resident_peak();
size_t resident_now();

// A line a kind, largest first.
std::string to_string(const MemoryReport& report);
Json to_json(const MemoryReport& report);

}  // namespace stair::apps
