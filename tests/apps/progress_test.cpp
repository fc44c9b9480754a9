#include "apps/program/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

namespace stair::apps {
namespace {

// A progress line whose clock the test moves.
struct Line {
  Line(ProgressLook look, int64_t total, int64_t first = 0)
      : progress(out, std::move(look), "train", total, first, [this] { return now; }) {}
  void step(double seconds, int64_t done, const std::string& detail = "") {
    now += seconds;
    progress.update(done, 32, detail);
  }
  double now = 1000;
  std::ostringstream out;
  Progress progress;
};

ProgressLook plain(int64_t every) {
  ProgressLook look;
  look.every = every;
  return look;
}

ProgressLook moving(int width) {
  ProgressLook look;
  look.terminal = {true, true, width};
  return look;
}

TEST(Progress, WithoutATerminalThereIsALineEveryNStepsAndAtTheEnd) {
  Line line(plain(2), 5);
  for (int i = 1; i <= 5; ++i) line.step(0.5, i, "loss 1.5");
  EXPECT_EQ(line.out.str(),
            "train  [2/5]  64 img/s  eta 1.5 s  loss 1.5\n"
            "train  [4/5]  64 img/s  eta 0.5 s  loss 1.5\n"
            "train  [5/5]  64 img/s  eta 0.0 s  loss 1.5\n");
}

TEST(Progress, OnATerminalOneLineIsOverwrittenAndDisappears) {
  Line line(moving(80), 100);
  line.step(1, 1);
  line.step(0.01, 2);
  line.step(0.99, 4);
  line.progress.line("epoch 1/1  saved");
  line.progress.finish();
  EXPECT_EQ(line.out.str(),
            "train  [  1/100]  32 img/s  eta 1:39\r\x1b[K"
            "train  [  4/100]  48 img/s  eta 48.0 s\r\x1b[K"
            "epoch 1/1  saved\n");
}

TEST(Progress, TheMovingLineIsCutToTheWidth) {
  Line line(moving(20), 100);
  line.step(1, 1, "loss 1.5");
  EXPECT_EQ(line.out.str(), "train  [  1/100]  3");
}

TEST(Progress, QuietPrintsNothing) {
  ProgressLook look = plain(1);
  look.quiet = true;
  Line line(look, 2);
  line.step(1, 1);
  line.step(1, 2);
  line.progress.line("epoch");
  EXPECT_EQ(line.out.str(), "");
}

TEST(Progress, TheTimeAProcessWasStoppedDoesNotCount) {
  Line line(plain(1000), 100);
  for (int i = 1; i <= 10; ++i) line.step(1, i);
  line.step(3600, 11);
  EXPECT_NEAR(line.progress.rate(), 32, 1e-9);
  EXPECT_NEAR(line.progress.seconds_left(), 89, 1e-9);
}

TEST(Progress, StepsOfAnEarlierRunDoNotCountIntoTheRate) {
  Line line(plain(1000), 100, 90);
  line.step(2, 91);
  EXPECT_NEAR(line.progress.rate(), 16, 1e-9);
  EXPECT_NEAR(line.progress.seconds_left(), 18, 1e-9);
}

TEST(ProgressFault, DetailsCannotActOnTheTerminal) {
  Line line(plain(1), 1);
  line.step(1, 1, "file \x1b[2J\n");
  EXPECT_NE(line.out.str().find("file \\x1b[2J\\n\n"), std::string::npos) << line.out.str();
}

TEST(ProgressFault, AFileHasNeitherMovementNorColour) {
  const int file = open("/dev/null", O_WRONLY);
  EXPECT_FALSE(terminal_of(file).moving);
  EXPECT_FALSE(terminal_of(file).color);
  close(file);
}

TEST(ProgressFault, TheTerminalFollowsTermAndNoColor) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0 || isatty(terminal) == 0) GTEST_SKIP() << "needs /dev/ptmx";
  const char* before = std::getenv("TERM");
  const std::string term = before == nullptr ? "" : before;
  unsetenv("NO_COLOR");
  setenv("TERM", "xterm", 1);
  EXPECT_TRUE(terminal_of(terminal).moving);
  EXPECT_TRUE(terminal_of(terminal).color);
  setenv("NO_COLOR", "1", 1);
  EXPECT_TRUE(terminal_of(terminal).moving);
  EXPECT_FALSE(terminal_of(terminal).color);
  setenv("TERM", "dumb", 1);
  unsetenv("NO_COLOR");
  EXPECT_FALSE(terminal_of(terminal).moving);
  EXPECT_FALSE(terminal_of(terminal).color);
  setenv("TERM", term.c_str(), 1);
  close(terminal);
}

}  // namespace
}  // namespace stair::apps
