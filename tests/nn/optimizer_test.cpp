#include "nn/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "nn/gradients.h"
#include "tests/nn/values.h"

namespace stair::nn {
namespace {

NamedVariable parameter(const std::string& name, const Shape& shape, float value) {
  return {name, Variable(Tensor::full<float>(shape, value), true)};
}

void set_gradient(const NamedVariable& p, float value) {
  Variable v = p.variable;
  v.set_grad(Tensor::full<float>(p.variable.shape(), value));
}

float value_of(const NamedVariable& p) {
  return p.variable.value().data<float>()[0];
}

TEST(DecayGroups, SpareNormsBiasesAndScales) {
  const std::vector<NamedVariable> all = {
      parameter("conv.weight", {2, 1, 1, 2}, 1), parameter("bn.weight", {2}, 1),
      parameter("quantizer.scale", {2, 1}, 1), parameter("fc.weight", {2, 2}, 1)};
  const auto groups = decay_groups(all, 0.1);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].weight_decay, 0.1);
  EXPECT_EQ(groups[0].parameters[1].name, "fc.weight");
  EXPECT_EQ(groups[1].weight_decay, 0);
  EXPECT_EQ(groups[1].parameters.size(), 2u);
  EXPECT_EQ(decay_groups({all[0]}, 0.1).size(), 1u);
}

TEST(Optimizer, GroupsHaveTheirOwnRateAndDecay) {
  const NamedVariable a = parameter("a", {1}, 1), b = parameter("b", {1}, 1);
  set_gradient(a, 1);
  set_gradient(b, 1);
  Sgd sgd({{{a}, 1, 0}, {{b}, 0.5, 2}}, {});
  sgd.step(0.25);
  EXPECT_EQ(value_of(a), 0.75F);
  EXPECT_EQ(value_of(b), 1 - 0.125F * 3);
}

TEST(Optimizer, SkipsParametersWithoutGradient) {
  const NamedVariable a = parameter("a", {1}, 1);
  Sgd sgd({{{a}, 1, 1}}, {.momentum = 0.9});
  sgd.step(1);
  EXPECT_EQ(value_of(a), 1);
  set_gradient(a, 1);
  sgd.step(0.5);
  EXPECT_EQ(value_of(a), 0);
  sgd.zero_grad();
  EXPECT_FALSE(a.variable.grad().defined());
}

TEST(Optimizer, DampeningActsFromTheSecondStep) {
  const NamedVariable a = parameter("a", {1}, 0);
  Sgd sgd({{{a}, 1, 0}}, {.momentum = 0.5, .dampening = 0.5});
  set_gradient(a, 1);
  sgd.step(1);
  EXPECT_EQ(value_of(a), -1);
  sgd.step(1);
  EXPECT_EQ(value_of(a), -2);
}

template <class Make>
void expect_resumes(const Make& make) {
  const NamedVariable a = parameter("a", {2, 2}, 1), b = parameter("a", {2, 2}, 1);
  const NamedVariable still_a = parameter("still", {2}, 1), still_b = parameter("still", {2}, 1);
  const auto first = make(std::vector<ParameterGroup>{{{a, still_a}, 1, 0.1}});
  const auto second = make(std::vector<ParameterGroup>{{{b, still_b}, 1, 0.1}});
  for (int i = 0; i < 3; ++i) {
    set_gradient(a, 0.3F * static_cast<float>(i) + 0.1F);
    first->step(0.1);
  }
  Tensor(b.variable.value()).copy_from(a.variable.value());
  second->load_state(first->save_state());
  for (const auto& [p, optimizer] : {std::pair(a, first.get()), std::pair(b, second.get())}) {
    set_gradient(p, 0.7F);
    optimizer->step(0.1);
  }
  EXPECT_TRUE(same(a.variable.value(), b.variable.value()));
  const auto left = first->save_state(), right = second->save_state();
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(left[i].name, right[i].name);
    EXPECT_TRUE(same(left[i].tensor, right[i].tensor)) << left[i].name;
  }
}

TEST(Optimizer, ResumedStepsAreTheSameBits) {
  expect_resumes([](auto groups) {
    return std::make_unique<Sgd>(std::move(groups), autograd::SgdOptions{.momentum = 0.9});
  });
  expect_resumes(
      [](auto groups) { return std::make_unique<Sgd>(std::move(groups), autograd::SgdOptions{}); });
  expect_resumes([](auto groups) {
    return std::make_unique<Adam>(std::move(groups), autograd::AdamOptions{.decoupled = true});
  });
}

TEST(Optimizer, SettingsOutOfRangeAreRefused) {
  const NamedVariable a = parameter("a", {1}, 1);
  const std::vector<ParameterGroup> groups = {{{a}, 1, 0}};
  const auto why = [](const auto& f) { return message_of<ConfigError>(f); };
  EXPECT_EQ(why([&] { Sgd({{{a, a}, 1, 0}}, {}); }), "optimizer: parameter 'a' occurs twice");
  EXPECT_EQ(why([&] {
              Sgd({{{a}, 1, -1}}, {});
            }),
            "optimizer: weight_decay -1, expected at least 0, finite");
  EXPECT_EQ(why([&] { Sgd(groups, {.nesterov = true}); }),
            "optimizer: Nesterov with momentum 0 and dampening 0, expected a momentum and no "
            "dampening");
  EXPECT_EQ(why([&] { Adam(groups, {.beta1 = 1}); }),
            "optimizer: beta1 1, expected at least 0 and less than 1");
  EXPECT_EQ(why([&] { Sgd(groups, {}).step(NAN); }),
            "optimizer: lr nan, expected at least 0, finite");
}

TEST(OptimizerFault, StateOfOthersIsRefusedAndChangesNothing) {
  const NamedVariable a = parameter("a", {2}, 1), other = parameter("b", {2}, 1);
  set_gradient(a, 1);
  set_gradient(other, 1);
  Sgd sgd({{{a}, 1, 0}}, {.momentum = 0.9}), sgd_b({{{other}, 1, 0}}, {.momentum = 0.9});
  Adam adam({{{a}, 1, 0}}, {});
  sgd.step(0.1);
  sgd_b.step(0.1);
  adam.step(0.1);
  const auto before = sgd.save_state();
  const auto why = [&](const std::vector<NamedTensor>& state) {
    return message_of<FormatError>([&] { sgd.load_state(state); });
  };
  EXPECT_EQ(why(sgd_b.save_state()), "optimizer: state 'a/step' is missing");
  EXPECT_EQ(why(adam.save_state()), "optimizer: state 'a/momentum' is missing");
  std::vector<NamedTensor> state = before;
  state[1].tensor = Tensor::zeros({3}, DType::f32);
  EXPECT_EQ(why(state), "optimizer: state 'a/momentum' is [3] f32, expected [2] f32");
  state = before;
  state.push_back({"x", Tensor::zeros({3}, DType::f32)});
  EXPECT_EQ(why(state), "optimizer: the state has 3 tensors, 2 belong to these parameters");
  EXPECT_TRUE(same(sgd.save_state()[1].tensor, before[1].tensor));
}

TEST(OptimizerStep, TensorsThatDoNotBelongTogetherAreRefused) {
  const Tensor p = Tensor::zeros({2}, DType::f32), g = Tensor::zeros({3}, DType::f32);
  EXPECT_EQ(message_of<ShapeError>([&] { autograd::sgd_step(p, g, {}, true, {}); }),
            "sgd_step: the gradient is [3] f32, expected the shape of the parameter [2] f32");
  EXPECT_EQ(message_of<DTypeError>(
                [&] { autograd::adam_step(p, p, p, Tensor::zeros({2}, DType::f64), 1, {}); }),
            "adam_step: the second moment is [2] f64, expected the type of the parameter [2] f32");
}

TEST(Gradients, NormIsOverAllParameters) {
  const NamedVariable a = parameter("a", {40000}, 0), b = parameter("b", {1}, 0);
  const NamedVariable none = parameter("c", {1}, 0);
  set_gradient(a, 0.02F);
  set_gradient(b, 3);
  EXPECT_NEAR(gradient_norm({a, b, none}), 5, 1e-6);
}

TEST(Gradients, AreClippedAboveTheLargestNormOnly) {
  const NamedVariable a = parameter("a", {1}, 0), b = parameter("b", {1}, 0);
  set_gradient(a, 3);
  set_gradient(b, -4);
  EXPECT_EQ(clip_grad_norm({a, b}, 10), 5);
  EXPECT_EQ(a.variable.grad().data<float>()[0], 3);
  EXPECT_EQ(clip_grad_norm({a, b}, 1), 5);
  EXPECT_NEAR(a.variable.grad().data<float>()[0], 0.6, 1e-6);
  EXPECT_NEAR(b.variable.grad().data<float>()[0], -0.8, 1e-6);
  EXPECT_THROW(clip_grad_norm({a}, 0), ConfigError);
}

TEST(GradientsFault, NonFiniteOnesAreNamedAndNotSpread) {
  const NamedVariable a = parameter("a", {2}, 0), b = parameter("layer.b", {2}, 0);
  set_gradient(a, 3);
  set_gradient(b, 1);
  b.variable.grad().data<float>()[1] = NAN;
  EXPECT_TRUE(std::isnan(clip_grad_norm({a, b}, 1)));
  EXPECT_EQ(a.variable.grad().data<float>()[0], 3);
  require_finite_gradients({a});
  EXPECT_EQ(message_of<NumericsError>([&] {
              require_finite_gradients({a, b});
            }),
            "gradient of 'layer.b' [2] f32: element 1 is not finite");
}

}  // namespace
}  // namespace stair::nn
