#include "core/parallel.h"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>

#include "core/error.h"

namespace stair {
namespace {

int threads_from_environment() {
  for (const char* variable : {"STAIR_NUM_THREADS", "OMP_NUM_THREADS"}) {
    const char* value = std::getenv(variable);
    if (value == nullptr || *value == 0) continue;
    int count = 0;
    const auto [end, error] = std::from_chars(value, value + std::strlen(value), count);
    if (error != std::errc() || *end != 0 || count < 1 || count > 4096)
      throw ConfigError(str(variable, "='", value, "' is no number of threads"),
                        "use an integer from 1 to 4096");
    return count;
  }
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

struct Pool {
  explicit Pool(int count)
      : threads(count),
        limit(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(count)),
        arena(count) {}
  int threads;
  tbb::global_control limit;
  tbb::task_arena arena;
};

std::mutex pool_mutex;

std::unique_ptr<Pool>& pool() {
  static std::unique_ptr<Pool> instance = std::make_unique<Pool>(threads_from_environment());
  return instance;
}

}  // namespace

int num_threads() {
  std::lock_guard lock(pool_mutex);
  return pool()->threads;
}

void set_num_threads(int count) {
  if (count < 1) throw ConfigError(str("number of threads is ", count, ", expected at least 1"));
  std::lock_guard lock(pool_mutex);
  if (pool()->threads != count) {
    pool().reset();
    pool() = std::make_unique<Pool>(count);
  }
}

void run_tasks(int64_t tasks, void (*run)(const void*, int64_t), const void* context) {
  Pool* current = nullptr;
  {
    std::lock_guard lock(pool_mutex);
    current = pool().get();
  }
  if (tasks <= 1 || current->threads == 1) {
    for (int64_t task = 0; task < tasks; ++task) run(context, task);
    return;
  }
  // oneTBB orders the tasks by itself; the two atomics say so to the thread sanitizer, which cannot
  // see into the library.
  std::atomic<int> started{0};
  std::atomic<int64_t> done{0};
  started.store(1, std::memory_order_release);
  current->arena.execute([&] {
    tbb::parallel_for(tbb::blocked_range<int64_t>(0, tasks, 1),
                      [&](const tbb::blocked_range<int64_t>& range) {
                        (void)started.load(std::memory_order_acquire);
                        for (int64_t task = range.begin(); task != range.end(); ++task)
                          run(context, task);
                        done.fetch_add(1, std::memory_order_acq_rel);
                      });
  });
  (void)done.load(std::memory_order_acquire);
}

}  // namespace stair
