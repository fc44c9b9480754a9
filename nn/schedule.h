// Learning rates over time, as pure functions of the step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace stair::nn {

enum class ScheduleKind : uint8_t {
  constant,
  step,
  multistep,
  exponential,
  cosine,
  linear,
  onecycle
};
enum class Warmup : uint8_t { linear, constant };

// Numbers of steps count optimizer steps from 0. Rates are factors of the base learning rate.
struct Schedule {
  ScheduleKind kind = ScheduleKind::constant;
  int64_t total_steps = 1;  // cosine, linear, onecycle: where they end, warm-up included
  int64_t step_size = 1;    // step: steps between two reductions
  std::vector<int64_t> milestones = {};  // multistep: steps at which the rate falls
  double gamma = 0.1;      // step, multistep, exponential (at every step): factor of a reduction
  double lr_min = 0;       // cosine, linear: the factor at the end
  double pct_start = 0.3;  // onecycle: part of the steps that rise
  double div_factor = 25;  // onecycle: 1 / the factor at the start
  double final_div_factor = 1e4;   // onecycle: start / end
  int64_t warmup_steps = 0;        // 0: none
  Warmup warmup = Warmup::linear;  // linear from warmup_factor to 1, or constantly warmup_factor
  double warmup_factor = 0.1;
};

// The factor of the base learning rate that step t >= 0 uses. During warm-up
//   linear    warmup_factor + (1 - warmup_factor) * t / warmup_steps        constant  warmup_factor
// and after it, with u = (t - warmup_steps) / (total_steps - warmup_steps), at most 1:
//   constant     1                                step  gamma^floor(t / step_size)
//   multistep    gamma^(milestones at or before t)    exponential  gamma^t
//   cosine       lr_min + (1 - lr_min) * (1 + cos(pi * u)) / 2
//   linear       1 + (lr_min - 1) * u
// onecycle goes from 1 / div_factor up to 1 and down to 1 / (div_factor * final_div_factor), both
// along half a cosine, reaching them at steps pct_start * total_steps - 1 and total_steps - 1, and
// takes no warm-up. Source: torch.optim.lr_scheduler; cosine: Loshchilov and Hutter, "SGDR" (2017),
// eq. 5.
double lr_factor(const Schedule& schedule, int64_t t);

// Throws ConfigError for settings that make no schedule.
void check_schedule(const Schedule& schedule);

// By name: constant, step, multistep, exponential, cosine, linear, onecycle. Throws ConfigError
// with the nearest name.
ScheduleKind schedule_kind(const std::string& name);

}  // namespace stair::nn
