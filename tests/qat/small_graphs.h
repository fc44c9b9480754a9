// Small networks, values and checks for the tests of graph quantization.
#pragma once

#include <gtest/gtest.h>

#include "core/random.h"
#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/layers/conv2d.h"

namespace stair::qat {

using autograd::Variable;

inline Tensor normal(const Shape& shape, uint64_t seed) {
  Tensor t = Tensor::empty(shape, DType::f32);
  Random random(seed);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = random.normal();
  return t;
}

// 3x3 with a bias; the picture keeps its size.
inline std::shared_ptr<nn::Module> small_conv(int64_t in, int64_t out) {
  return std::make_shared<nn::Conv2d>(in, out, nn::square_window(3, 1, 1));
}

inline nn::Graph graph_of(nn::Module& model, const Shape& input = {2, 6, 6, 3}) {
  return nn::capture(model, Variable(normal(input, 1)));
}

inline Tensor run(nn::Module& model, const Tensor& x) {
  const autograd::NoGrad no_grad;
  return model(Variable(x)).value();
}

inline void expect_equal(const Tensor& a, const Tensor& b, const std::string& what) {
  ASSERT_EQ(a.shape(), b.shape()) << what;
  ASSERT_EQ(a.dtype(), b.dtype()) << what;
  for (int64_t i = 0; i < a.numel(); ++i)
    ASSERT_EQ(a.data<float>()[i], b.data<float>()[i]) << what << ", element " << i;
}

// A ConfigError whose message and hint hold all of the words.
template <class F>
void expect_config_error(const F& f, const std::vector<std::string>& words) {
  try {
    f();
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    const std::string text = str(error.what(), " | ", error.hint());
    for (const std::string& word : words) EXPECT_NE(text.find(word), std::string::npos) << text;
  }
}

}  // namespace stair::qat
