#include "apps/program/signals.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

namespace stair::apps {
namespace {

constexpr int kInterrupted = 130;
constexpr int kTerminated = 143;

std::atomic<int> first_signal{0};
std::atomic<bool> save_wanted{false};
std::atomic<int> grace_seconds{0};
static_assert(std::atomic<int>::is_always_lock_free, "handlers may only use lock-free atomics");

void on_stop(int signal) {
  int none = 0;
  const bool first = first_signal.compare_exchange_strong(none, signal);
  if (!first && signal == SIGINT) _exit(kInterrupted);
  if (first && signal != SIGINT) alarm(static_cast<unsigned>(grace_seconds.load()));
}

void on_save(int) {
  save_wanted.store(true);
}

void on_grace_over(int) {
  _exit(kTerminated);
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

bool ignored(int signal) {
  struct sigaction action = {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

void watch_signals(int grace_s) {
  grace_seconds.store(grace_s);
  handle(SIGINT, on_stop);
  handle(SIGTERM, on_stop);
  if (!ignored(SIGHUP)) handle(SIGHUP, on_stop);
  handle(SIGUSR1, on_save);
  handle(SIGALRM, on_grace_over);
}

bool stop_requested() {
  return stop_signal() != 0;
}

int stop_signal() {
  return first_signal.load();
}

int stop_exit_code() {
  const int signal = stop_signal();
  return signal == 0 ? 0 : signal == SIGINT ? kInterrupted : kTerminated;
}

bool take_save_request() {
  return save_wanted.exchange(false);
}

}  // namespace stair::apps
