// Threads that share one loop after another without sleeping in between.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>

namespace stair {

// The owner publishes a loop and works on it from its first task on; helpers, which spin for work,
// take tasks from its end. So each side keeps its part of the data in its own cache from loop to
// loop. Whoever waits spins for a bounded time, then yields its core at every look.
//
// One word holds the tasks that nobody claimed yet, [front, back). Claiming is one compare and
// exchange, and what a loop is may be read only after it: the owner cannot publish another loop
// before the claimed task is done.
class Team {
 public:
  // Owner: calls run(context, task) for every task in [0, tasks); tasks < 2^32. Throws what the
  // first failing task threw, after all are done.
  void run(int64_t tasks, void (*run)(const void* context, int64_t task), const void* context);
  // Owner: lets the helpers go.
  void close() { closed_.store(true, std::memory_order_release); }
  // Helper: takes part in every loop until close().
  void help();

 private:
  bool claim_first(int64_t& task);
  bool claim_last(int64_t& task);
  void perform(int64_t task);

  alignas(64) std::atomic<uint64_t> unclaimed_{0};  // front in the upper half, back in the lower
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<bool> closed_{false};
  void (*run_)(const void*, int64_t) = nullptr;
  const void* context_ = nullptr;
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
};

}  // namespace stair
