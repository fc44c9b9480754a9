// Parallel loops with a fixed split.
//
// Work is cut into chunks by its size alone, never by the number of threads, and a reduction
// combines the chunks' results in order. So every result is the same bits for any number of
// threads.
#pragma once

#include <cstdint>

namespace stair {

class Team;

// Threads that loops may use. Starts at STAIR_NUM_THREADS, else OMP_NUM_THREADS, else the number of
// cores. Throws ConfigError when the variable is no positive integer.
int num_threads();
void set_num_threads(int count);

// Keeps each thread on a core of its own while it works in loops, so that the system does not move
// it away from its caches. For a machine that does nothing else.
void pin_threads();

// Calls run(context, i) for every i in [0, tasks), in any order, on several threads.
void run_tasks(int64_t tasks, void (*run)(const void* context, int64_t task), const void* context);

// Calls f(task) for every task in [0, tasks).
template <class F>
[[gnu::always_inline]] inline void parallel_tasks(int64_t tasks, const F& f) {
  run_tasks(
      tasks, [](const void* context, int64_t task) { (*static_cast<const F*>(context))(task); },
      &f);
}

// Calls f(begin, end) for the chunks of [0, n), each of `grain` elements but the last.
template <class F>
[[gnu::always_inline]] inline void parallel_for(int64_t n, int64_t grain, const F& f) {
  parallel_tasks((n + grain - 1) / grain, [&](int64_t task) {
    const int64_t begin = task * grain;
    f(begin, begin + grain < n ? begin + grain : n);
  });
}

// While one lives, the loops of this thread run on it alone: for tasks of a loop that want their
// data in the cache of one core.
class SerialLoops {
 public:
  SerialLoops();
  ~SerialLoops();
  SerialLoops(const SerialLoops&) = delete;
  SerialLoops& operator=(const SerialLoops&) = delete;

 private:
  Team* team_;
  bool inside_task_;
};

// Calls body(context) on this thread while the other threads stay awake for its loops: one of a few
// microseconds then costs no wake-up. A thread with nothing to do for long yields its core, so
// other programs and other callers go on.
void run_awake(void (*body)(const void* context), const void* context);

// Calls f() so.
template <class F>
void parallel_awake(const F& f) {
  run_awake([](const void* context) { (*static_cast<const F*>(context))(); }, &f);
}

}  // namespace stair
