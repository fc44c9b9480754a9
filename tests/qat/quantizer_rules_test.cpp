// Every quantizer of the build, by its own account of its rule.
#include <gtest/gtest.h>

#include <cmath>

#include "core/random.h"
#include "qat/quantizer.h"

namespace stair::qat {
namespace {

std::shared_ptr<Quantizer> make(const QuantizerDef* def, QuantizationSpec spec,
                                Activation activation = Activation::none) {
  spec.quantizer = def->name;
  return make_quantizer(spec, 1, activation);
}

TEST(QuantizerRulesGrad, FormulasAgreeWithDualNumbers) {
  for (const QuantizerDef* def : quantizers()) {
    Random random(7);
    for (int i = 0; i < 20000; ++i) {
      const bool is_signed = random.below(2) == 1;
      const float levels = static_cast<float>(1 << (1 + random.below(8)));
      const RuleSample a{random.normal() * 3, 0.02F + std::abs(random.normal()),
                         is_signed ? -levels / 2 : 0.0F, is_signed ? levels / 2 - 1 : levels - 1};
      const RuleGradient g = def->backward(a);
      ASSERT_NEAR(g.x, def->forward(a, 1, 0).derivative, 1e-5 * (1 + std::abs(g.x)))
          << def->name << " x " << a.x << " scale " << a.scale;
      ASSERT_NEAR(g.scale, def->forward(a, 0, 1).derivative, 1e-4 * (1 + std::abs(g.scale)))
          << def->name << " x " << a.x << " scale " << a.scale;
    }
  }
}

// In evaluation mode, where rules with chance round to nearest.
TEST(QuantizerRules, ForwardIsTheRealNumberOfTheCode) {
  for (const QuantizerDef* def : quantizers()) {
    for (int bits : {2, 4, 8}) {
      QuantizationSpec spec = weight_spec(bits);
      spec.axis = -1;
      const auto quantizer = make(def, spec);
      Random random(3);
      std::vector<float> values(257);
      for (float& v : values) v = random.normal();
      const Variable x(Tensor::from<float>(values, {257}));
      (void)(*quantizer)(x);
      quantizer->eval();
      const Variable q = (*quantizer)(x);
      ASSERT_TRUE(q.quantized()) << def->name;
      const QParams& p = q.value().qparams();
      for (int i = 0; i < 257; ++i) {
        const auto rule = [&](float value) {
          return def
              ->forward({value, p.scale[0], static_cast<float>(p.qmin), static_cast<float>(p.qmax)},
                        0, 0)
              .value;
        };
        const float value = values[static_cast<size_t>(i)];
        const double real = q.value().data<int8_t>()[i] * static_cast<double>(p.scale[0]);
        // x / s and x * (1 / s) may round to different sides of a tie.
        const double below = rule(value * (1 - 1e-5F)), above = rule(value * (1 + 1e-5F));
        ASSERT_TRUE(std::abs(real - below) < 1e-6 || std::abs(real - above) < 1e-6)
            << def->name << ' ' << bits << " bits, x " << value << ": " << real << ", expected "
            << below;
      }
    }
  }
}

TEST(QuantizerRules, StateSurvivesCloning) {
  for (const QuantizerDef* def : quantizers()) {
    const auto quantizer = make(def, activation_spec(4), Activation::relu);
    const Variable x(Tensor::from<float>({-1, 0.5F, 2, 3}, {2, 2}));
    (void)(*quantizer)(x);
    quantizer->enable_observer(false);
    const auto copy = std::static_pointer_cast<Quantizer>(quantizer->clone());
    EXPECT_EQ(copy->qparams(), quantizer->qparams()) << def->name;
    EXPECT_FALSE(copy->observer_enabled()) << def->name;
  }
}

TEST(QuantizerRules, EvaluationChangesNothing) {
  for (const QuantizerDef* def : quantizers()) {
    const auto quantizer = make(def, activation_spec());
    (void)(*quantizer)(Variable(Tensor::from<float>({-1, 1}, {1, 2})));
    const QParams before = quantizer->qparams();
    quantizer->eval();
    (void)(*quantizer)(Variable(Tensor::from<float>({-50, 90}, {1, 2})));
    EXPECT_EQ(quantizer->qparams(), before) << def->name;
  }
}

TEST(QuantizerRules, WithoutAnyBatchSaysCalibrateFirst) {
  for (const QuantizerDef* def : quantizers()) {
    const auto quantizer = make(def, activation_spec());
    quantizer->enable_observer(false);
    try {
      (void)(*quantizer)(Variable(Tensor::zeros({1, 2}, DType::f32)));
      FAIL() << def->name;
    } catch (const ConfigError& error) {
      EXPECT_EQ(error.exit_code(), 2);
      EXPECT_NE((std::string(error.what()) + error.hint()).find("first"), std::string::npos)
          << error.what();
    }
  }
}

TEST(QuantizerRules, EachNamesItsSourceAndParameters) {
  for (const QuantizerDef* def : quantizers()) {
    EXPECT_NE(std::string(def->paper), "");
    EXPECT_NE(std::string(def->parameters), "");
  }
}

TEST(QuantizerRules, UnknownInitialisationGetsTheList) {
  QuantizationSpec spec = weight_spec();
  spec.quantizer = "lsq";
  spec.init = "median";
  try {
    (void)make_quantizer(spec, 1);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("median"), std::string::npos) << error.what();
    EXPECT_NE(error.hint().find("mean, mse"), std::string::npos) << error.hint();
  }
}

TEST(QuantizerRules, UnknownNameGetsTheNearestAndTheList) {
  try {
    (void)find_quantizer("lsk");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(error.hint().find("did you mean 'lsq'"), std::string::npos) << error.hint();
    EXPECT_NE(error.hint().find("ste"), std::string::npos);
  }
}

}  // namespace
}  // namespace stair::qat
