// Optimizers and schedules against torch's.
#include <gtest/gtest.h>

#include "nn/optimizer.h"
#include "nn/schedule.h"
#include "tests/support/golden.h"

namespace stair::nn {
namespace {

std::unique_ptr<Optimizer> optimizer_of(const test::GoldenCase& c, const NamedVariable& p) {
  const std::string& kind = c.attrs().at("class").as_string();
  std::vector<ParameterGroup> groups = {{{p}, 1, c.number("weight_decay", 0)}};
  if (kind == "SGD")
    return std::make_unique<Sgd>(groups,
                                 autograd::SgdOptions{.momentum = c.number("momentum", 0),
                                                      .nesterov = c.flag("nesterov", false)});
  return std::make_unique<Adam>(groups, autograd::AdamOptions{.decoupled = kind == "AdamW"});
}

TEST(OptimizersGolden, StepAsTorch) {
  int cases = 0;
  for (test::GoldenCase c : test::golden_cases("ops")) {
    if (c.op() != "optimizer") continue;
    SCOPED_TRACE(c.name());
    NamedVariable p{"p", Variable(c.input("p0").clone(), true)};
    const auto optimizer = optimizer_of(c, p);
    const Tensor gradients = c.input("grad_per_step");
    const Tensor got = Tensor::empty(gradients.shape(), DType::f32);
    for (int64_t step = 0; step < gradients.size(0); ++step) {
      p.variable.set_grad(gradients.slice(step, step + 1).reshape(p.variable.shape()));
      optimizer->step(c.number("lr", 0));
      Tensor row = got.slice(step, step + 1).reshape(p.variable.shape());
      row.copy_from(p.variable.value());
    }
    c.expect_output("p_per_step", got);
    ++cases;
  }
  EXPECT_GE(cases, 7);
}

Schedule schedule_of(const test::GoldenCase& c) {
  const Json& a = c.attrs();
  Schedule s;
  s.gamma = c.number("gamma", s.gamma);
  if (a.find("step_size") != nullptr) {
    s.kind = ScheduleKind::step;
    s.step_size = c.integer("step_size", 0);
  } else if (a.find("milestones") != nullptr) {
    s.kind = ScheduleKind::multistep;
    s.milestones = c.integers("milestones");
  } else if (a.find("T_max") != nullptr) {
    s.kind = ScheduleKind::cosine;
    s.total_steps = c.integer("T_max", 0);
  } else if (a.find("max_lr") != nullptr) {
    s.kind = ScheduleKind::onecycle;
    s.total_steps = c.integer("total_steps", 0);
  } else if (a.find("start_factor") != nullptr) {
    s.warmup_steps = c.integer("total_iters", 0);
    s.warmup_factor = c.number("start_factor", 0);
  } else if (a.find("then") != nullptr) {
    s = {.kind = ScheduleKind::cosine, .total_steps = 16, .warmup_steps = 4, .warmup_factor = 0.01};
  } else {
    s.kind = ScheduleKind::exponential;
  }
  return s;
}

TEST(SchedulesGolden, GiveTorchsRates) {
  int cases = 0;
  for (test::GoldenCase c : test::golden_cases("ops")) {
    if (c.op() != "lr_schedule") continue;
    SCOPED_TRACE(c.name());
    const Schedule schedule = schedule_of(c);
    check_schedule(schedule);
    const Tensor got = Tensor::empty({c.integer("steps", 0)}, DType::f64);
    for (int64_t t = 0; t < got.numel(); ++t)
      got.data<double>()[t] = c.number("base_lr", 0) * lr_factor(schedule, t);
    c.expect_output("lr", got);
    ++cases;
  }
  EXPECT_GE(cases, 7);
}

}  // namespace
}  // namespace stair::nn
