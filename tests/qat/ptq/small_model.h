// A small network with every neighbourhood that post-training passes look for, and pictures for it.
#pragma once

#include <cmath>

#include "core/random.h"
#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/model.h"
#include "qat/presets.h"
#include "qat/ptq/calibrate.h"
#include "qat/ptq/layers.h"

namespace stair::qat {

inline Tensor pictures(int64_t n, uint64_t seed, int64_t size = 24) {
  Tensor x = Tensor::empty({n, size, size, 3}, DType::f32);
  Random random(seed);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = random.normal();
  return x;
}

// MobileNetV2 of half the width with batch-norm statistics of its own. Without ReLU6
// equalization leaves it the same function.
inline nn::Graph small_model(bool relu6 = false, const char* name = "mobilenet_v2") {
  nn::ModelOptions options;
  options.num_classes = 3;
  options.width = 0.5;
  options.relu6 = relu6;
  options.seed = 5;
  const auto model = nn::find_model(name).build(options);
  Random random(11);
  for (const nn::NamedVariable& p : model->named_parameters())
    if (p.name.ends_with("bias"))
      for (int64_t i = 0; i < p.variable.value().numel(); ++i)
        p.variable.value().data<float>()[i] = 0.3F * random.normal();
  nn::GraphModule graph(nn::capture(*model, autograd::Variable(pictures(1, 1))));
  reestimate_batch_norm(graph, [](const auto& f) { f(pictures(8, 20)); });
  return graph.graph();
}

// Weights of 4 bits in all layers, so that there is something to choose and to correct.
inline QuantizationConfig four_bits(const char* preset) {
  QuantizationConfig config = find_preset(preset).config;
  set_bits(config.weight, 4);
  config.first_last_8_bits = false;
  return config;
}

inline Tensor outputs_of(nn::GraphModule& model, const Tensor& x) {
  const autograd::NoGrad no_grad;
  model.eval();
  return model(autograd::Variable(x)).value();
}

inline Batches batches_of(int64_t count, int64_t n = 4) {
  return [count, n](const std::function<void(const Tensor&)>& f) {
    for (int64_t i = 0; i < count; ++i) f(pictures(n, static_cast<uint64_t>(i) + 100));
  };
}

inline double distance(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    const double d = a.data<float>()[i] - b.data<float>()[i];
    sum += d * d / static_cast<double>(a.numel());
  }
  return std::sqrt(sum);
}

}  // namespace stair::qat
