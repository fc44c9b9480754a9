// This program's table of quantizers is made by the build from qat/quantizers and
// tests/plugin/quantizers, as any build makes it from its files. The suite that every quantizer
// gets (tests/qat/quantizer_rules_test.cpp) runs in it as well.
#include <gtest/gtest.h>

#include "qat/prepare.h"

namespace stair::qat {
namespace {

TEST(ToyQuantizer, IsFoundByItsFileName) {
  EXPECT_STREQ(find_quantizer("toy").name, "toy");
}

TEST(ToyQuantizer, IsValidInAConfiguration) {
  const QuantizationConfig config = x86_config(8, 8, "toy");
  EXPECT_EQ(config.weight.quantizer, "toy");
  const auto quantizer = make_quantizer(config.activation, 1);
  Variable x(Tensor::from<float>({-1, 1}, {2}), true);
  (*quantizer)(x).backward(Tensor::full<float>({2}, 1));
  EXPECT_EQ(x.grad().data<float>()[0], 0.5F);
}

}  // namespace
}  // namespace stair::qat
