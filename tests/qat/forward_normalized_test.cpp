// One pass over memory gives what batch norm, activation function, observer and quantizer give one
// after the other.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "autograd/ops/add.h"
#include "autograd/ops/mul.h"
#include "core/cpu.h"
#include "core/random.h"
#include "qat/quantizer.h"

namespace stair::qat {
namespace {

Tensor normal(const Shape& shape, uint64_t seed, float mean = 0) {
  Tensor t = Tensor::empty(shape, DType::f32);
  Random random(seed, 0);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = mean + random.normal();
  return t;
}

// What a training step of one layer leaves behind.
struct Step {
  Tensor codes, running_mean, running_var, gx, ggamma, gbeta, min, max;
  QParams qparams;
};

Step step(const std::string& name, Activation activation, int bits, bool fused, uint64_t seed) {
  QuantizationSpec spec = activation_spec(bits);
  spec.quantizer = name;
  const auto quantizer = make_quantizer(spec, 1, activation);
  Step s;
  for (int batch = 0; batch < 2; ++batch) {
    Variable x(normal({3, 5, 4, 21}, seed + static_cast<uint64_t>(batch), 0.3F), true);
    Variable gamma(normal({21}, seed + 2), true), beta(normal({21}, seed + 3), true);
    Variable mean(Tensor::zeros({21}, DType::f32)), var(Tensor::full<float>({21}, 1.0F));
    const Variable q = fused ? quantizer->forward_normalized(x, gamma, beta, mean, var, {})
                             : (*quantizer)(autograd::batch_norm(x, gamma, beta, mean, var, {}));
    q.backward(normal(q.shape(), seed + 4));
    s = {q.value(),
         mean.value(),
         var.value(),
         x.grad(),
         gamma.grad(),
         beta.grad(),
         quantizer->named_buffers()[0].variable.value().clone(),
         quantizer->named_buffers()[1].variable.value().clone(),
         q.value().qparams()};
  }
  return s;
}

void expect_same_bytes(const char* what, const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.shape(), b.shape()) << what;
  EXPECT_EQ(std::memcmp(a.raw(), b.raw(), a.bytes()), 0) << what;
}

TEST(ForwardNormalizedExact, IsTheThreeOperationsInARow) {
  for (Isa isa : available_isas()) {
    if (isa == Isa::ref) continue;  // its batch norm computes y in double
    const IsaScope scope(isa);
    for (const char* quantizer : {"ste", "lsq"})
      for (Activation activation : {Activation::none, Activation::relu, Activation::relu6})
        for (int bits : {8, 4}) {
          SCOPED_TRACE(testing::Message() << name(isa) << ' ' << quantizer << ' ' << bits << ' '
                                          << static_cast<int>(activation));
          const Step one = step(quantizer, activation, bits, true, 11);
          const Step three = step(quantizer, activation, bits, false, 11);
          EXPECT_EQ(one.qparams, three.qparams);
          expect_same_bytes("codes", one.codes, three.codes);
          expect_same_bytes("running mean", one.running_mean, three.running_mean);
          expect_same_bytes("running var", one.running_var, three.running_var);
          expect_same_bytes("min", one.min, three.min);
          expect_same_bytes("max", one.max, three.max);
          expect_same_bytes("gx", one.gx, three.gx);
          expect_same_bytes("ggamma", one.ggamma, three.ggamma);
          expect_same_bytes("gbeta", one.gbeta, three.gbeta);
        }
  }
}

// Gradients of a layer whose learned quantizer is the only reader of batch norm's output, which
// then hears of its gradient block by block, or one of two.
std::array<Tensor, 3> gradients(const char* name, bool alone) {
  QuantizationSpec spec = activation_spec();
  spec.quantizer = name;
  const auto quantizer = make_quantizer(spec, 1, Activation::none);
  Variable x(normal({20, 30, 30, 24}, 1), true), gamma(normal({24}, 2), true),
      beta(normal({24}, 3), true);
  const Variable y = autograd::batch_norm(x, gamma, beta, Variable(), Variable(), {});
  Variable q = (*quantizer)(y);
  const Tensor gy = normal(q.shape(), 4);
  if (!alone) q = autograd::add(q, autograd::mul(y, Variable(Tensor::full<float>({1}, 0))));
  q.backward(gy);
  return {x.grad(), gamma.grad(), beta.grad()};
}

TEST(ForwardNormalized, ALearnedQuantizerTellsOfItsGradientWhileItIsWritten) {
  for (const char* name : {"lsq", "dsq"}) {
    QuantizationSpec spec = activation_spec();
    spec.quantizer = name;
    const auto quantizer = make_quantizer(spec, 1);
    const Variable leaf(normal({700, 24}, 1), true);
    Tensor gradient, told = Tensor::zeros(leaf.shape(), DType::f32);
    Variable x = autograd::record("keep", {leaf}, leaf.value(), [&gradient](const Tensor& g) {
      gradient = g;
      return std::vector<Tensor>{g};
    });
    const auto watch = std::make_shared<autograd::GradientWatch>();
    watch->chunks = [](int64_t) { return nullptr; };
    watch->written = [&told](int64_t, int64_t begin, int64_t end, const float* values) {
      std::copy(values, values + (end - begin) * 24, told.data<float>() + begin * 24);
    };
    x.set_watch(watch);
    (*quantizer)(x).backward(normal({700, 24}, 2));
    expect_same_bytes(name, told, gradient);
  }
}

TEST(ForwardNormalized, GradientsAreSummedWhileALearnedQuantizerWritesThem) {
  for (const char* quantizer : {"lsq", "tqt", "pact", "ewgs", "dsq"}) {
    const auto alone = gradients(quantizer, true), with_another = gradients(quantizer, false);
    for (size_t i = 0; i < alone.size(); ++i)
      for (int64_t k = 0; k < alone[i].numel(); ++k)
        ASSERT_NEAR(alone[i].data<float>()[k], with_another[i].data<float>()[k],
                    1e-5 * std::max(1.0F, std::abs(alone[i].data<float>()[k])))
            << quantizer << ' ' << i;
  }
}

TEST(ForwardNormalized, AChannelThatIsNotFiniteIsNotObserved) {
  const auto quantizer = make_quantizer(activation_spec(), 1);
  Tensor x = normal({8, 2}, 5);
  x.data<float>()[0] = INFINITY;
  const Variable none, mean(Tensor::zeros({2}, DType::f32)), var(Tensor::zeros({2}, DType::f32));
  (void)quantizer->forward_normalized(Variable(x), none, none, mean, var, {});
  EXPECT_TRUE(quantizer->calibrated());
  EXPECT_TRUE(std::isfinite(quantizer->qparams().scale[0]));
}

}  // namespace
}  // namespace stair::qat
