#include "core/team.h"

#include <thread>
#include <utility>

namespace stair {
namespace {

// A wait of bounded length at full speed (some 50 us), then one that lets others have the core.
class Patience {
 public:
  void wait() {
    if (looks_ < kSpins) {
      ++looks_;
      __builtin_ia32_pause();
    } else {
      std::this_thread::yield();
    }
  }

 private:
  static constexpr int kSpins = 4000;
  int looks_ = 0;
};

constexpr uint64_t kFirst = uint64_t{1} << 32;

uint32_t front_of(uint64_t range) {
  return static_cast<uint32_t>(range >> 32);
}
uint32_t back_of(uint64_t range) {
  return static_cast<uint32_t>(range);
}

}  // namespace

bool Team::claim_first(int64_t& task) {
  uint64_t range = unclaimed_.load(std::memory_order_relaxed);
  while (front_of(range) < back_of(range))
    if (unclaimed_.compare_exchange_weak(range, range + kFirst, std::memory_order_acquire,
                                         std::memory_order_relaxed)) {
      task = front_of(range);
      return true;
    }
  return false;
}

bool Team::claim_last(int64_t& task) {
  uint64_t range = unclaimed_.load(std::memory_order_relaxed);
  while (front_of(range) < back_of(range))
    if (unclaimed_.compare_exchange_weak(range, range - 1, std::memory_order_acquire,
                                         std::memory_order_relaxed)) {
      task = back_of(range) - 1;
      return true;
    }
  return false;
}

void Team::perform(int64_t task) {
  try {
    run_(context_, task);
  } catch (...) {
    const std::lock_guard lock(failure_mutex_);
    if (!failure_) failure_ = std::current_exception();
  }
  done_.fetch_add(1, std::memory_order_acq_rel);
}

void Team::run(int64_t tasks, void (*run)(const void*, int64_t), const void* context) {
  run_ = run;
  context_ = context;
  done_.store(0, std::memory_order_relaxed);
  unclaimed_.store(static_cast<uint64_t>(tasks), std::memory_order_release);
  int64_t task = 0;
  while (claim_first(task)) perform(task);
  Patience patience;
  while (done_.load(std::memory_order_acquire) < tasks) patience.wait();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void Team::help() {
  Patience patience;
  while (!closed_.load(std::memory_order_acquire)) {
    int64_t task = 0;
    if (claim_last(task)) {
      perform(task);
      patience = {};
    } else {
      patience.wait();
    }
  }
}

}  // namespace stair
