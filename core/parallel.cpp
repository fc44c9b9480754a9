#include "core/parallel.h"

#include <sched.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#include <tbb/task_scheduler_observer.h>

#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>

#include "core/error.h"
#include "core/team.h"

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

cpu_set_t affinity_of_caller() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  sched_getaffinity(0, sizeof(cores), &cores);
  return cores;
}

// Ties every thread that enters the arena to one of the cores that the process may use.
class Pinning : public tbb::task_scheduler_observer {
 public:
  explicit Pinning(tbb::task_arena& arena) : task_scheduler_observer(arena) { observe(true); }
  ~Pinning() override { observe(false); }
  void on_scheduler_entry(bool) override {
    const int thread = tbb::this_task_arena::current_thread_index();
    int core = 0, left = thread % CPU_COUNT(&all());
    while (!CPU_ISSET(core, &all()) || left-- > 0) ++core;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    sched_setaffinity(0, sizeof(one), &one);
  }
  void on_scheduler_exit(bool) override { sched_setaffinity(0, sizeof(all()), &all()); }

  // Of the process, before any thread is tied.
  static const cpu_set_t& all() {
    static const cpu_set_t cores = affinity_of_caller();
    return cores;
  }
};

struct Pool {
  explicit Pool(int count)
      : threads(count),
        limit(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(count)),
        arena(count) {}
  int threads;
  tbb::global_control limit;
  tbb::task_arena arena;
  std::unique_ptr<Pinning> pinning;
};

std::mutex pool_mutex;

std::unique_ptr<Pool>& pool() {
  static std::unique_ptr<Pool> instance = std::make_unique<Pool>(threads_from_environment());
  return instance;
}

Pool* current_pool() {
  std::lock_guard lock(pool_mutex);
  return pool().get();
}

// What the loops of this thread are given to.
struct Loops {
  Team* team = nullptr;      // waits for them
  bool inside_task = false;  // they run here and now
};
thread_local Loops loops_of_thread;

// Sets that for its lifetime.
class LoopsScope {
 public:
  explicit LoopsScope(Loops loops) : before_(loops_of_thread) { loops_of_thread = loops; }
  ~LoopsScope() { loops_of_thread = before_; }
  LoopsScope(const LoopsScope&) = delete;
  LoopsScope& operator=(const LoopsScope&) = delete;

 private:
  Loops before_;
};

}  // namespace

int num_threads() {
  std::lock_guard lock(pool_mutex);
  return pool()->threads;
}

void set_num_threads(int count) {
  if (count < 1) throw ConfigError(str("number of threads is ", count, ", expected at least 1"));
  std::lock_guard lock(pool_mutex);
  if (pool()->threads != count) {
    const bool pinned = pool()->pinning != nullptr;
    pool().reset();
    pool() = std::make_unique<Pool>(count);
    if (pinned) pool()->pinning = std::make_unique<Pinning>(pool()->arena);
  }
}

void pin_threads() {
  std::lock_guard lock(pool_mutex);
  (void)Pinning::all();
  if (!pool()->pinning) pool()->pinning = std::make_unique<Pinning>(pool()->arena);
}

void run_tasks(int64_t tasks, void (*run)(const void*, int64_t), const void* context) {
  const Loops here = loops_of_thread;
  if (here.team != nullptr && tasks > 1 && tasks < int64_t{1} << 32) {
    const LoopsScope inside({.team = nullptr, .inside_task = true});
    return here.team->run(tasks, run, context);
  }
  Pool* current = current_pool();
  if (tasks <= 1 || current->threads == 1 || here.inside_task) {
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

SerialLoops::SerialLoops()
    : team_(loops_of_thread.team), inside_task_(loops_of_thread.inside_task) {
  loops_of_thread = {.team = nullptr, .inside_task = true};
}
SerialLoops::~SerialLoops() {
  loops_of_thread = {.team = team_, .inside_task = inside_task_};
}

void run_awake(void (*body)(const void*), const void* context) {
  Pool* current = current_pool();
  if (current->threads == 1 || loops_of_thread.team != nullptr || loops_of_thread.inside_task)
    return body(context);
  // As above, the atomics are for the thread sanitizer.
  std::atomic<int> started{0}, left{0};
  Team team;
  started.store(1, std::memory_order_release);
  current->arena.execute([&] {
    // Isolated: while it waits for its helpers the caller must not become another team's.
    tbb::this_task_arena::isolate([&] {
      tbb::task_group helpers;
      for (int i = 1; i < current->threads; ++i)
        helpers.run([&] {
          (void)started.load(std::memory_order_acquire);
          const LoopsScope inside({.team = nullptr, .inside_task = true});
          team.help();
          left.fetch_add(1, std::memory_order_acq_rel);
        });
      std::exception_ptr failure;
      try {
        const LoopsScope scope({.team = &team, .inside_task = false});
        body(context);
      } catch (...) {
        failure = std::current_exception();
      }
      team.close();
      helpers.wait();
      if (failure) std::rethrow_exception(failure);
    });
  });
  (void)left.load(std::memory_order_acquire);
}

}  // namespace stair
