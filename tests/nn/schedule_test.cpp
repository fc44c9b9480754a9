#include "nn/schedule.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/nn/values.h"

namespace stair::nn {
namespace {

TEST(Schedule, ConstantStaysAtOne) {
  EXPECT_EQ(lr_factor({}, 0), 1);
  EXPECT_EQ(lr_factor({}, 1000000), 1);
}

TEST(Schedule, CosineEndsAndStaysAtItsMinimum) {
  const Schedule s{.kind = ScheduleKind::cosine, .total_steps = 10, .lr_min = 0.2};
  EXPECT_EQ(lr_factor(s, 0), 1);
  EXPECT_NEAR(lr_factor(s, 5), 0.6, 1e-12);
  EXPECT_NEAR(lr_factor(s, 10), 0.2, 1e-12);
  EXPECT_NEAR(lr_factor(s, 25), 0.2, 1e-12);
}

TEST(Schedule, LinearFallsInEqualSteps) {
  const Schedule s{.kind = ScheduleKind::linear, .total_steps = 4, .lr_min = 0.5};
  EXPECT_EQ(lr_factor(s, 1), 0.875);
  EXPECT_EQ(lr_factor(s, 4), 0.5);
  EXPECT_EQ(lr_factor(s, 9), 0.5);
}

TEST(Schedule, ConstantWarmupHoldsItsFactor) {
  const Schedule s{.warmup_steps = 3, .warmup = Warmup::constant, .warmup_factor = 0.25};
  EXPECT_EQ(lr_factor(s, 0), 0.25);
  EXPECT_EQ(lr_factor(s, 2), 0.25);
  EXPECT_EQ(lr_factor(s, 3), 1);
}

TEST(Schedule, StepsCountFromTheStartOfTraining) {
  Schedule s{.kind = ScheduleKind::multistep, .milestones = {4, 6}, .gamma = 0.5};
  s.warmup_steps = 2;
  EXPECT_EQ(lr_factor(s, 3), 1);
  EXPECT_EQ(lr_factor(s, 4), 0.5);
  EXPECT_EQ(lr_factor(s, 6), 0.25);
  s.kind = ScheduleKind::step;
  s.step_size = 3;
  EXPECT_EQ(lr_factor(s, 2), 1);
  EXPECT_EQ(lr_factor(s, 3), 0.5);
}

TEST(Schedule, UnusableSettingsAreRefused) {
  const auto why = [](const Schedule& s) {
    return message_of<ConfigError>([&] { check_schedule(s); });
  };
  EXPECT_EQ(why({.kind = ScheduleKind::cosine, .total_steps = 5, .warmup_steps = 5}),
            "schedule: total_steps 5, expected more than warmup_steps");
  EXPECT_EQ(why({.gamma = 0}), "schedule: gamma 0, expected a positive number");
  EXPECT_EQ(why({.step_size = 0}), "schedule: step_size 0, expected at least 1");
  EXPECT_EQ(why({.milestones = {5, 2}}), "schedule: milestones 2, expected steps that rise");
  EXPECT_EQ(why({.lr_min = 2}), "schedule: lr_min 2, expected 0 to 1, a factor of the base rate");
  EXPECT_EQ(why({.kind = ScheduleKind::onecycle, .total_steps = 3}),
            "schedule: pct_start 0.3, expected a part of the steps that leaves room for both");
  EXPECT_EQ(why({.kind = ScheduleKind::cosine, .total_steps = 5}), "(no error)");
}

TEST(Schedule, KindsHaveNames) {
  EXPECT_EQ(schedule_kind("cosine"), ScheduleKind::cosine);
  EXPECT_EQ(schedule_kind("onecycle"), ScheduleKind::onecycle);
  try {
    schedule_kind("cosin");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "schedule: 'cosin' is none of constant, step, multistep, exponential, cosine, "
                 "linear, onecycle");
    EXPECT_EQ(error.hint(), "did you mean 'cosine'?");
  }
}

}  // namespace
}  // namespace stair::nn
