#include "apps/program/signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

namespace stair::apps {
namespace {

// Each case runs in a child process, since the requests cannot be taken back. The child starts the
// program anew: in a mere fork of a process with threads ThreadSanitizer delivers signals late.
class SignalsFault : public testing::Test {
 protected:
  SignalsFault() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

// Ends with `code`, or 99.
void leave_if(bool expected, int code) {
  _exit(expected ? code : 99);
}

TEST_F(SignalsFault, TheFirstInterruptOnlyAsksForAStop) {
  EXPECT_EXIT(
      {
        watch_signals();
        const bool before = stop_requested();
        raise(SIGINT);
        leave_if(!before && stop_requested() && stop_signal() == SIGINT, stop_exit_code());
      },
      testing::ExitedWithCode(130), "");
}

TEST_F(SignalsFault, TheSecondInterruptLeavesAtOnce) {
  EXPECT_EXIT(
      {
        watch_signals();
        raise(SIGINT);
        raise(SIGINT);
        _exit(98);
      },
      testing::ExitedWithCode(130), "");
}

TEST_F(SignalsFault, TerminationAsksForAStopAndAnInterruptAfterItLeaves) {
  EXPECT_EXIT(
      {
        watch_signals();
        raise(SIGTERM);
        raise(SIGTERM);
        leave_if(stop_signal() == SIGTERM, stop_exit_code());
      },
      testing::ExitedWithCode(143), "");
  EXPECT_EXIT(
      {
        watch_signals();
        raise(SIGTERM);
        raise(SIGINT);
        _exit(98);
      },
      testing::ExitedWithCode(130), "");
}

TEST_F(SignalsFault, TheGraceAfterTerminationEnds) {
  EXPECT_EXIT(
      {
        watch_signals(1);
        raise(SIGTERM);
        for (;;) pause();
      },
      testing::ExitedWithCode(143), "");
}

TEST_F(SignalsFault, AHangUpIsATerminationUnlessItIsIgnored) {
  EXPECT_EXIT(
      {
        signal(SIGHUP, SIG_DFL);
        watch_signals();
        raise(SIGHUP);
        leave_if(stop_signal() == SIGHUP, stop_exit_code());
      },
      testing::ExitedWithCode(143), "");
  EXPECT_EXIT(
      {
        signal(SIGHUP, SIG_IGN);
        watch_signals();
        raise(SIGHUP);
        leave_if(!stop_requested(), stop_exit_code());
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(SignalsFault, ASaveRequestIsTakenOnce) {
  EXPECT_EXIT(
      {
        watch_signals();
        const bool before = take_save_request();
        raise(SIGUSR1);
        const bool first = take_save_request();
        const bool second = take_save_request();
        leave_if(!before && first && !second && !stop_requested(), 0);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace stair::apps
