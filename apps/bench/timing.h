// Repeated calls and their times.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/program/memory_report.h"
#include "core/json.h"

namespace stair::apps {

struct TimingOptions {
  int64_t reps = 7, warmup = 2;
  double min_time = 0;  // seconds that the calls take together at least
};

struct Timing {
  std::string name;
  int64_t images = 0;           // of one call
  std::vector<double> seconds;  // of each call, sorted
  double cpu_seconds = 0;       // of all threads, a call
  size_t base_rss = 0;          // of the process before it had a network
  MemoryReport memory;          // of the timed calls

  double quantile(double q) const;
  double images_per_second() const { return static_cast<double>(images) / quantile(0.5); }
};

Timing timed(const TimingOptions& options, const std::function<void()>& call);

// Google Benchmark's fields, and ours.
Json to_json(const Timing& timing);
// `before`: images a second of an earlier run.
std::string to_string(const Timing& timing, std::optional<double> before);

}  // namespace stair::apps
