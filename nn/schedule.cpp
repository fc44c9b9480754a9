#include "nn/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/text.h"

namespace stair::nn {
namespace {

constexpr std::array<const char*, 7> kNames = {"constant", "step",   "multistep", "exponential",
                                               "cosine",   "linear", "onecycle"};

// From `start` (u = 0) to `end` (u = 1) along half a cosine.
double half_cosine(double start, double end, double u) {
  return end + (start - end) * (1 + std::cos(std::numbers::pi * u)) / 2;
}

double one_cycle(const Schedule& s, int64_t t) {
  const double low = 1 / s.div_factor, last = low / s.final_div_factor;
  const double top = s.pct_start * static_cast<double>(s.total_steps) - 1;
  const double end = static_cast<double>(s.total_steps - 1);
  const double now = std::min(static_cast<double>(t), end);
  if (now <= top) return half_cosine(low, 1, now / top);
  return half_cosine(1, last, (now - top) / (end - top));
}

double warm_up(const Schedule& s, int64_t t) {
  if (s.warmup == Warmup::constant) return s.warmup_factor;
  return s.warmup_factor +
         (1 - s.warmup_factor) * static_cast<double>(t) / static_cast<double>(s.warmup_steps);
}

// Part of the steps after warm-up that has passed.
double passed(const Schedule& s, int64_t t) {
  return std::min(1.0, static_cast<double>(t - s.warmup_steps) /
                           static_cast<double>(s.total_steps - s.warmup_steps));
}

void require(bool fine, const char* key, double value, const char* expected) {
  if (!fine) throw ConfigError(str("schedule: ", key, " ", value, ", expected ", expected));
}

void require_positive(const char* key, double value) {
  require(value > 0 && std::isfinite(value), key, value, "a positive number");
}

}  // namespace

double lr_factor(const Schedule& s, int64_t t) {
  if (s.kind == ScheduleKind::onecycle) return one_cycle(s, t);
  if (t < s.warmup_steps) return warm_up(s, t);
  switch (s.kind) {
    case ScheduleKind::step:
      return std::pow(s.gamma, static_cast<double>(t / s.step_size));
    case ScheduleKind::exponential:
      return std::pow(s.gamma, static_cast<double>(t));
    case ScheduleKind::multistep: {
      const auto fallen = std::count_if(s.milestones.begin(), s.milestones.end(),
                                        [t](int64_t milestone) { return milestone <= t; });
      return std::pow(s.gamma, static_cast<double>(fallen));
    }
    case ScheduleKind::cosine:
      return half_cosine(1, s.lr_min, passed(s, t));
    case ScheduleKind::linear:
      return 1 + (s.lr_min - 1) * passed(s, t);
    case ScheduleKind::constant:
    case ScheduleKind::onecycle:
      break;
  }
  return 1;
}

void check_schedule(const Schedule& s) {
  const bool ends = s.kind == ScheduleKind::cosine || s.kind == ScheduleKind::linear ||
                    s.kind == ScheduleKind::onecycle;
  const auto number = [](int64_t n) { return static_cast<double>(n); };
  require(s.warmup_steps >= 0, "warmup_steps", number(s.warmup_steps), "at least 0");
  if (s.warmup_steps > 0)
    require(s.warmup_factor >= 0 && s.warmup_factor <= 1, "warmup_factor", s.warmup_factor,
            "0 to 1");
  if (ends)
    require(s.total_steps > s.warmup_steps, "total_steps", number(s.total_steps),
            "more than warmup_steps");
  require(s.step_size >= 1, "step_size", number(s.step_size), "at least 1");
  require_positive("gamma", s.gamma);
  require(s.lr_min >= 0 && s.lr_min <= 1, "lr_min", s.lr_min, "0 to 1, a factor of the base rate");
  require(std::is_sorted(s.milestones.begin(), s.milestones.end()), "milestones",
          number(static_cast<int64_t>(s.milestones.size())), "steps that rise");
  if (s.kind != ScheduleKind::onecycle) return;
  require(s.warmup_steps == 0, "warmup_steps", number(s.warmup_steps),
          "0: onecycle has its own rise");
  require_positive("div_factor", s.div_factor);
  require_positive("final_div_factor", s.final_div_factor);
  const double top = s.pct_start * number(s.total_steps) - 1;
  require(top > 0 && top < number(s.total_steps - 1), "pct_start", s.pct_start,
          "a part of the steps that leaves room for both");
}

ScheduleKind schedule_kind(const std::string& name) {
  const auto it = std::find(kNames.begin(), kNames.end(), name);
  if (it != kNames.end()) return static_cast<ScheduleKind>(it - kNames.begin());
  const std::vector<std::string> names(kNames.begin(), kNames.end());
  throw ConfigError(str("schedule: '", printable(name), "' is none of ", join(names)),
                    did_you_mean(name, names));
}

}  // namespace stair::nn
