#include "core/parallel.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/team.h"

namespace stair {
namespace {

// For the lifetime of a test.
class Threads {
 public:
  explicit Threads(int count) : before_(num_threads()) { set_num_threads(count); }
  ~Threads() { set_num_threads(before_); }

 private:
  int before_;
};

// Loops that each need the result of the one before: element i of loop k is the sum of its
// neighbours in loop k - 1. Tasks that are left out, done twice or done too early change it.
std::vector<uint32_t> chained_loops(int loops) {
  std::vector<uint32_t> now(97), before(97);
  for (size_t i = 0; i < now.size(); ++i) now[i] = static_cast<uint32_t>(i);
  for (int k = 0; k < loops; ++k) {
    now.swap(before);
    std::fill(now.begin(), now.end(), 0U);
    const int64_t tasks = 1 + k % 97;
    parallel_tasks(tasks, [&](int64_t task) {
      for (size_t i = static_cast<size_t>(task); i < now.size(); i += static_cast<size_t>(tasks))
        now[i] += before[(i + 1) % before.size()] + before[(i + 96) % before.size()];
    });
  }
  return now;
}

TEST(Parallel, LoopsOfAwakeThreadsAreTheLoopsOfOne) {
  const std::vector<uint32_t> expected = [] {
    const Threads one(1);
    return chained_loops(500);
  }();
  for (int count : {2, 3, 4}) {
    const Threads threads(count);
    EXPECT_EQ(chained_loops(500), expected) << count << " threads";
    parallel_awake([&] { EXPECT_EQ(chained_loops(500), expected) << count << " awake threads"; });
  }
}

TEST(Parallel, SerialLoopsRunOnTheThreadOfTheirTask) {
  const Threads threads(4);
  std::atomic<int> elsewhere{0};
  std::atomic<int64_t> sum{0};
  const auto nested = [&] {
    parallel_tasks(8, [&](int64_t) {
      const SerialLoops serial;
      const std::thread::id task = std::this_thread::get_id();
      parallel_tasks(64, [&](int64_t i) {
        sum += i;
        elsewhere += std::this_thread::get_id() != task;
      });
    });
  };
  nested();
  parallel_awake(nested);
  EXPECT_EQ(elsewhere, 0);
  EXPECT_EQ(sum, 2 * 8 * 64 * 63 / 2);
}

TEST(Parallel, CallersOnSeveralThreadsDoNotDisturbEachOther) {
  const Threads threads(3);
  const std::vector<uint32_t> expected = chained_loops(200);
  std::atomic<int> equal{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&] {
      for (int call = 0; call < 5; ++call)
        parallel_awake([&] { equal += chained_loops(200) == expected; });
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(equal, 20);
}

TEST(Parallel, LoopsWithinTasksRun) {
  for (int count : {1, 2, 4}) {
    const Threads threads(count);
    std::atomic<int64_t> sum{0};
    const auto nested = [&] {
      parallel_tasks(8, [&](int64_t a) {
        parallel_awake([&] { parallel_tasks(8, [&](int64_t b) { sum += 8 * a + b; }); });
      });
    };
    nested();
    parallel_awake(nested);
    parallel_awake([&] { parallel_awake(nested); });
    EXPECT_EQ(sum, 3 * 63 * 64 / 2) << count << " threads";
  }
}

TEST(ParallelFault, AnErrorInATaskOrInTheBodyReachesTheCaller) {
  for (int count : {1, 2, 4}) {
    const Threads threads(count);
    for (int64_t failing : {0, 7, 15})
      parallel_awake([&] {
        EXPECT_THROW(parallel_tasks(16,
                                    [&](int64_t task) {
                                      if (task == failing) throw std::runtime_error("task");
                                    }),
                     std::runtime_error);
        std::atomic<int> done{0};
        parallel_tasks(16, [&](int64_t) { ++done; });
        EXPECT_EQ(done, 16) << "the loop after a failed one";
      });
    EXPECT_THROW(parallel_awake([] { throw std::runtime_error("body"); }), std::runtime_error);
  }
}

TEST(Team, HelpersMayComeAtAnyTimeAndManyAtOnce) {
  Team team;
  std::vector<std::thread> helpers;
  int64_t expected = 0;
  std::atomic<int64_t> sum{0};
  const auto add = [](const void* context, int64_t task) {
    *static_cast<std::atomic<int64_t>*>(const_cast<void*>(context)) += task;
  };
  for (int loop = 0; loop < 400; ++loop) {
    if (loop % 100 == 50) helpers.emplace_back([&] { team.help(); });
    const int64_t tasks = loop % 40;
    team.run(tasks, add, &sum);
    expected += tasks * (tasks - 1) / 2;
    ASSERT_EQ(sum, expected) << "loop " << loop;
  }
  team.close();
  for (std::thread& helper : helpers) helper.join();
}

int cores_of_caller() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  sched_getaffinity(0, sizeof(cores), &cores);
  return CPU_COUNT(&cores);
}

TEST(Parallel, PinnedThreadsHaveOneCoreInsideLoopsAndAllOutside) {
  const Threads threads(2);
  const int all = cores_of_caller();
  std::thread([&] {
    pin_threads();
    std::atomic<int> others{0};
    for (int call = 0; call < 10; ++call) {
      parallel_tasks(8, [&](int64_t) { others += cores_of_caller() != 1; });
      EXPECT_EQ(cores_of_caller(), all);
    }
    EXPECT_EQ(others, 0);
  }).join();
}

TEST(ParallelFault, AThreadCountBelowOneIsAnError) {
  EXPECT_THROW(set_num_threads(0), ConfigError);
}

}  // namespace
}  // namespace stair
