#include "qat/ptq/calibrate.h"

#include "qat/prepare.h"

namespace stair::qat {
namespace {

std::vector<std::pair<std::string, Quantizer*>> quantizers_of(nn::Module& model) {
  std::vector<std::pair<std::string, Quantizer*>> found;
  for (auto& [name, module] : model.named_modules())
    if (auto* quantizer = dynamic_cast<Quantizer*>(module)) found.emplace_back(name, quantizer);
  return found;
}

void refuse_uncalibrated(const std::vector<std::pair<std::string, Quantizer*>>& quantizers) {
  std::string names;
  for (const auto& [name, quantizer] : quantizers)
    if (!quantizer->calibrated()) names += "\n  " + name;
  if (!names.empty())
    throw ConfigError("calibrate: these quantizers saw no finite value:" + names,
                      "calibrate with more pictures, or leave these layers float");
}

}  // namespace

std::map<std::string, int64_t> calibrate(nn::GraphModule& prepared, const Batches& batches) {
  const auto quantizers = quantizers_of(prepared);
  const autograd::NoGrad no_grad;
  prepared.eval();
  enable_observers(prepared, true);
  enable_fake_quant(prepared, false);
  // Quantizers observe in training mode only.
  for (const auto& [name, quantizer] : quantizers) quantizer->train();
  batches([&](const Tensor& pictures) { (void)prepared(autograd::Variable(pictures)); });
  prepared.eval();
  enable_observers(prepared, false);
  enable_fake_quant(prepared, true);
  refuse_uncalibrated(quantizers);
  std::map<std::string, int64_t> left_out;
  for (const auto& [name, quantizer] : quantizers)
    if (quantizer->non_finite_seen() > 0) left_out[name] = quantizer->non_finite_seen();
  return left_out;
}

void reestimate_batch_norm(nn::GraphModule& model, const Batches& batches) {
  struct Statistic {
    Tensor value, before;
    std::vector<double> sum;
    double momentum;
  };
  std::vector<Statistic> statistics;
  const nn::Graph& graph = model.graph();
  const auto add = [&](int id, double momentum) {
    if (id < 0) return;
    const Tensor value = graph.node(id).variable.value();
    statistics.push_back(
        {value, value.clone(), std::vector<double>(static_cast<size_t>(value.numel())), momentum});
  };
  for (const nn::Node& node : graph.nodes()) {
    if (node.op == "batch_norm") {
      for (int i : {3, 4})
        add(node.inputs[static_cast<size_t>(i)], node.attributes.get<double>("momentum"));
    } else if (const auto* conv = dynamic_cast<const QatConv*>(node.module.get());
               conv && conv->options().batch_norm) {
      for (int i : {5, 6}) add(node.inputs[static_cast<size_t>(i)], conv->options().momentum);
    }
  }
  const autograd::NoGrad no_grad;
  const bool training = model.is_training();
  model.train();
  enable_observers(model, false);
  double seen = 0;
  batches([&](const Tensor& pictures) {
    (void)model(autograd::Variable(pictures));
    ++seen;
    // after = (1 - momentum) * before + momentum * batch
    for (Statistic& s : statistics) {
      for (int64_t i = 0; i < s.value.numel(); ++i) {
        const double before = s.before.data<float>()[i], after = s.value.data<float>()[i];
        s.sum[static_cast<size_t>(i)] += before + (after - before) / s.momentum;
      }
      s.value.copy_from(s.before);
    }
  });
  model.train(training);
  if (seen == 0) return;
  for (Statistic& s : statistics)
    for (int64_t i = 0; i < s.value.numel(); ++i)
      s.value.data<float>()[i] = static_cast<float>(s.sum[static_cast<size_t>(i)] / seen);
}

}  // namespace stair::qat
