#include "nn/module.h"

#include <gtest/gtest.h>

#include "nn/layers/activation.h"
#include "nn/layers/sequential.h"
#include "tests/nn/values.h"

namespace stair::nn {
namespace {

// Registers what a test says.
class Free : public Module {
 public:
  using Module::adopt_parameter;
  using Module::register_buffer;
  using Module::register_module;
  using Module::register_parameter;
  Variable forward(const Variable& x) override {
    path = scope_path();
    return x;
  }
  std::string path;
};

Tensor one() {
  return Tensor::full<float>({1}, 1);
}

std::vector<std::string> names(const std::vector<NamedVariable>& variables) {
  std::vector<std::string> out;
  for (const NamedVariable& v : variables) out.push_back(v.name);
  return out;
}

using Names = std::vector<std::string>;

TEST(Module, NamesFollowTorchsOrder) {
  Free root;
  root.register_buffer("b", one());
  auto child = root.register_module("c", std::make_shared<Free>());
  child->register_parameter("w", one());
  child->register_buffer("m", one());
  root.register_parameter("p", one());
  EXPECT_EQ(names(root.named_parameters()), (Names{"p", "c.w"}));
  EXPECT_EQ(names(root.named_buffers()), (Names{"b", "c.m"}));
  EXPECT_EQ(names(root.named_state()), (Names{"p", "b", "c.w", "c.m"}));
}

TEST(Module, SharedParametersAreListedOnce) {
  Free root;
  const Variable p = root.register_parameter("p", one());
  root.adopt_parameter("again", p);
  EXPECT_EQ(names(root.named_parameters()), Names{"p"});
  EXPECT_EQ(root.named_state().size(), 2u);
}

TEST(Module, TakenAndUnusableNamesAreRefused) {
  Free root;
  root.register_parameter("p", one());
  EXPECT_EQ(message_of<ConfigError>([&] { root.register_buffer("p", one()); }),
            "module '': the name 'p' is taken");
  EXPECT_EQ(message_of<ConfigError>([&] { root.register_buffer("a.b", one()); }),
            "module: 'a.b' is no name for a part of a module");
  EXPECT_THROW(root.register_module("", std::make_shared<Free>()), ConfigError);
}

TEST(Module, ModeReachesEveryModuleBelow) {
  auto leaf = std::make_shared<Free>();
  Sequential model({std::make_shared<Sequential>(std::vector<std::shared_ptr<Module>>{leaf})});
  EXPECT_TRUE(leaf->is_training());
  model.eval();
  EXPECT_FALSE(leaf->is_training());
  model.train();
  EXPECT_TRUE(leaf->is_training());
}

TEST(Module, ScopeIsThePathOfTheRunningModule) {
  auto leaf = std::make_shared<Free>();
  Sequential model({std::make_shared<ReLU>(),
                    std::make_shared<Sequential>(std::vector<std::shared_ptr<Module>>{leaf})});
  model(random_variable({2}, 1));
  EXPECT_EQ(leaf->path, "1.0");
  EXPECT_EQ(scope_path(), "");
}

TEST(Module, ZeroGradDropsEveryGradient) {
  Free root;
  Variable p = root.register_parameter("p", one());
  p.set_grad(one());
  root.zero_grad();
  EXPECT_FALSE(p.grad().defined());
}

TEST(Module, SeveralInputsNeedAModuleThatTakesThem) {
  Free root;
  const std::vector<Variable> two = {Variable(one()), Variable(one())};
  EXPECT_EQ(message_of<ConfigError>([&] { root.forward_many(two); }),
            "module '': takes one input, got 2");
}

TEST(Module, KindsWithoutACloneSaySo) {
  EXPECT_EQ(message_of<ConfigError>([&] { Free().clone(); }),
            "module '': modules of this kind cannot be copied");
}

}  // namespace
}  // namespace stair::nn
