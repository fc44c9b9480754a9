#include "apps/bench/peaks.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "apps/bench/peak_loops.h"
#include "apps/program/report.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/parallel.h"

namespace stair::apps {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The best rate of several passes: what the machine can do, not what it does while it is disturbed.
template <class F>
double best_rate(double amount, const F& pass) {
  constexpr double kEnough = 0.2;
  double best = 0;
  const auto begin = Clock::now();
  for (int i = 0; i < 3 || seconds_since(begin) < kEnough; ++i) {
    const auto start = Clock::now();
    pass();
    best = std::max(best, amount / seconds_since(start));
  }
  return best;
}

double measure(const PeakLoop& loop) {
  constexpr int64_t kRounds = 20000, kTasksAThread = 16;
  const int64_t tasks = kTasksAThread * num_threads();
  return best_rate(static_cast<double>(tasks * kRounds) * loop.operations,
                   [&] { parallel_tasks(tasks, [&](int64_t) { loop.run(kRounds); }); });
}

// `floats` elements an array and task; each task works on arrays of its own, `repeats` times.
double measure_triad(int64_t tasks, int64_t floats, int repeats) {
  const auto memory = std::make_unique<float[]>(static_cast<size_t>(3 * tasks * floats));
  return best_rate(12.0 * static_cast<double>(tasks * floats * repeats), [&] {
    parallel_tasks(tasks, [&](int64_t task) {
      float* a = memory.get() + 3 * task * floats;
      for (int i = 0; i < repeats; ++i) triad(floats, a + floats, a + 2 * floats, a);
    });
  });
}

}  // namespace

Peaks measure_peaks() {
  Peaks peaks;
  for (const PeakLoop& loop : peak_loops()) {
    const double rate = measure(loop);
    peaks.all.push_back({loop.name, 1e-9 * rate, loop.integer ? "GOP/s" : "GFLOP/s"});
    if (loop.kind == PeakKind::f32) peaks.f32 = std::max(peaks.f32, rate);
    if (loop.kind == PeakKind::int8) peaks.int8 = std::max(peaks.int8, rate);
  }
  // 3 x 128 KiB a thread fit into the second-level cache, 3 x 128 MiB into no cache.
  peaks.all.push_back(
      {"triad in L2", 1e-9 * measure_triad(num_threads(), int64_t{1} << 15, 200), "GB/s"});
  constexpr int64_t kTasks = 64;
  peaks.memory = measure_triad(kTasks, (int64_t{32} << 20) / kTasks, 1);
  peaks.all.push_back({"triad in memory", 1e-9 * peaks.memory, "GB/s"});
  return peaks;
}

std::string to_string(const Peaks& peaks) {
  std::string text = str("peaks of this machine, ", num_threads(), " threads\n");
  for (const Peak& peak : peaks.all) {
    std::string name = peak.name;
    name.resize(std::max<size_t>(name.size(), 28), ' ');
    text += str("  ", name, fixed(peak.value, 1), ' ', peak.unit, '\n');
  }
  return text;
}

Json to_json(const Peaks& peaks) {
  Json list = Json::array();
  for (const Peak& peak : peaks.all)
    list.push_back(
        Json::object().set("name", peak.name).set("value", peak.value).set("unit", peak.unit));
  return list;
}

}  // namespace stair::apps
