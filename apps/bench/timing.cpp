#include "apps/bench/timing.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "apps/program/report.h"
#include "core/error.h"

namespace stair::apps {
namespace {

double cpu_now() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace

double Timing::quantile(double q) const {
  const auto last = static_cast<double>(seconds.size() - 1);
  return seconds[static_cast<size_t>(q * last + 0.5)];
}

Timing timed(const TimingOptions& options, const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  Timing t;
  for (int64_t i = 0; i < options.warmup; ++i) call();
  t.memory = begin_memory_report();
  const double cpu = cpu_now();
  const auto begin = Clock::now();
  const auto since = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  while (static_cast<int64_t>(t.seconds.size()) < options.reps || since(begin) < options.min_time) {
    const auto start = Clock::now();
    call();
    t.seconds.push_back(since(start));
  }
  t.cpu_seconds = (cpu_now() - cpu) / static_cast<double>(t.seconds.size());
  end_memory_report(t.memory);
  std::sort(t.seconds.begin(), t.seconds.end());
  return t;
}

Json to_json(const Timing& t) {
  Json j = Json::object();
  j.set("name", t.name);
  j.set("run_name", t.name);
  j.set("run_type", "iteration");
  j.set("iterations", t.seconds.size());
  j.set("real_time", 1e3 * t.quantile(0.5));
  j.set("cpu_time", 1e3 * t.cpu_seconds);
  j.set("time_unit", "ms");
  j.set("items_per_second", t.images_per_second());
  j.set("min_ms", 1e3 * t.seconds.front());
  j.set("p99_ms", 1e3 * t.quantile(0.99));
  j.set("peak_tensor_bytes", t.memory.after.peak_bytes);
  j.set("base_rss_bytes", t.base_rss);
  j.set("peak_rss_bytes", t.memory.resident_peak);
  j.set("memory", to_json(t.memory));
  return j;
}

std::string to_string(const Timing& t, std::optional<double> before) {
  std::string text = str(t.name, ": median ", fixed(1e3 * t.quantile(0.5), 2), " ms, p99 ",
                         fixed(1e3 * t.quantile(0.99), 2), " ms, ", fixed(t.images_per_second(), 1),
                         " img/s, tensors ", human_bytes(t.memory.after.peak_bytes));
  if (before) text += str(", ", fixed(t.images_per_second() / *before, 3), "x of before");
  return text;
}

}  // namespace stair::apps
