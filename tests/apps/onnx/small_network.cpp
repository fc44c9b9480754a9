#include "tests/apps/onnx/small_network.h"

#include "apps/train/network.h"
#include "autograd/ops/cross_entropy.h"
#include "core/random.h"
#include "qat/prepare.h"

namespace stair::apps {

Tensor drawn_pictures(int64_t n, int64_t size, uint64_t seed) {
  Tensor x = Tensor::empty({n, size, size, 3}, DType::f32);
  Random random(seed);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = random.normal();
  return x;
}

qat::Int8Graph small_network(const std::string& model, double width, int64_t size, int bits) {
  TrainConfig config;
  config.model.model = model;
  config.model.width = width;
  config.data.val_crop_size = static_cast<int>(size);
  config.wbits = config.abits = bits;
  const auto float_graph = build_float(config.model, 10, static_cast<int>(size), 1);
  const auto graph = build_qat(*float_graph, config).graph;
  for (uint64_t step = 0; step < 3; ++step) {
    Tensor labels = Tensor::empty({8}, DType::s64);
    for (int64_t i = 0; i < 8; ++i) labels.data<int64_t>()[i] = i;
    autograd::cross_entropy((*graph)(autograd::Variable(drawn_pictures(8, size, step))), labels, {})
        .backward();
    for (const nn::NamedVariable& p : graph->named_parameters()) {
      if (!p.variable.grad().defined()) continue;
      const Tensor value = p.variable.value(), gradient = p.variable.grad();
      for (int64_t i = 0; i < value.numel(); ++i)
        value.data<float>()[i] -= 0.02F * gradient.data<float>()[i];
      autograd::Variable(p.variable).zero_grad();
    }
  }
  return deploy(*graph, config.model, config.data, {"ape", "bee \x1b[31m", "cat"});
}

}  // namespace stair::apps
